"""A project's own tests in the release's image: what they need, how they are run, how they went."""
