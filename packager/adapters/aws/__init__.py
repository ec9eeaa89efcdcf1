"""AWS, through its own SDK, which nothing else knows. One module for each service."""
