"""What is missing on a machine or in an account before packager can do its work there."""
