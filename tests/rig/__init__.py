"""Real parts for the tests, on one bare machine: a Docker engine, and an image like EMR's.

Needs nothing but Python, since it runs before this project is set up.
"""
