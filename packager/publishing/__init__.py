"""Bringing what was made to where jobs find it: S3 for archives, ECR for images. No AWS here."""
