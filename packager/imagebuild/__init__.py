"""Custom images from archives: the release's image below, the same files on top of it."""
