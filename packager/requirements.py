"""Requirements as distributions write them, each read once: checks and documents ask for all. Pure.

A module of its own, so that `packaging.requirements` is read where it is needed and nowhere else.
"""

import functools

from packaging.requirements import Requirement


@functools.cache
def requirement(text: str) -> Requirement:
    """Raise `InvalidRequirement` for a text that does not follow PEP 508."""
    return Requirement(text)
