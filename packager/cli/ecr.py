"""What [tool.packager.ecr] says, with the file that it names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from packager.errors import ConfigError
from packager.publishing.addresses import parse_repository
from packager.publishing.recordedimages import Destination
from packager.publishing.repositories import (
    RepositorySettings,
    lifecycle_of,
    parse_repository_settings,
)
from packager.settings import Settings


def wanted_repository(
    settings: Settings, root: Path
) -> tuple[RepositorySettings, Mapping[str, Any] | None]:
    """How a repository is made, and the lifecycle policy that it gets."""
    wanted = parse_repository_settings(settings.ecr, str(root / "pyproject.toml"))
    text = None
    if wanted.lifecycle is not None:
        path = root / wanted.lifecycle
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{path} can not be read",
                why=str(error),
                fix="correct `lifecycle` in [tool.packager.ecr]",
            ) from error
    return wanted, lifecycle_of(wanted, text)


def destination(
    settings: Settings, root: Path, repository: str | None, applications: Sequence[str]
) -> Destination | None:
    """Raise `ConfigError` for names that can not be."""
    wanted, lifecycle = wanted_repository(settings, root)
    named = repository or wanted.repository
    if named is None:
        if applications:
            raise ConfigError(
                "--application is for the repository of images, and none is named",
                fix="name it: --repository NAME, or repository in [tool.packager.ecr]",
            )
        return None
    return Destination(
        address=parse_repository(named),
        settings=wanted,
        lifecycle=lifecycle,
        applications=tuple(applications) or wanted.applications,
    )
