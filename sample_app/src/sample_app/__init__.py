"""Tells penguin species apart by bill and flipper, with Spark and scikit-learn."""
