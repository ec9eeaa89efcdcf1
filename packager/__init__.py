"""Packages PySpark projects for Amazon EMR Serverless."""

__version__ = "0.1.0"
