"""Registries of images, by the OCI distribution protocol: no engine, no root, no other program."""
