"""How objects are kept, as the settings ask for it."""

from dataclasses import dataclass

from packager.errors import ConfigError
from packager.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectOptions:
    owner: str | None = None
    """Number of the account that the bucket has to be of."""
    encryption: str | None = None
    """`AES256` or `aws:kms`; None for the bucket's own way."""
    kms_key: str | None = None
    storage_class: str | None = None
    tags: tuple[tuple[str, str], ...] = ()


def object_options(settings: Settings) -> ObjectOptions:
    """Raise `ConfigError` for settings that exclude each other."""
    if settings.kms_key and settings.encryption == "AES256":
        raise ConfigError(
            f"kms-key {settings.kms_key} has no part in encryption AES256",
            why="S3 encrypts with keys of its own there",
            fix="leave one of them out",
        )
    return ObjectOptions(
        owner=settings.bucket_owner,
        encryption=settings.encryption or ("aws:kms" if settings.kms_key else None),
        kms_key=settings.kms_key,
        storage_class=settings.storage_class,
        tags=tuple((key, value) for key, _, value in (t.partition("=") for t in settings.s3_tags)),
    )
