"""The Dockerfiles that come with packager."""

from pathlib import Path


def dockerfiles() -> Path:
    """Their folder: inside the package where it was installed, beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "dockerfiles"
    return inside if inside.is_dir() else package.parent / "dockerfiles"
