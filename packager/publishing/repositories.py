"""Repositories of ECR as [tool.packager.ecr] wants them. Pure.

One that is missing is made so. One that is there is never changed: what differs is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from packager.documents import parse_json
from packager.errors import ConfigError

KINDS: Final = ("AES256", "KMS", "KMS_DSSE")
"""Of encryption (botocore's model of ECR: `EncryptionType`)."""
LIFECYCLE_CHARACTERS: Final = range(100, 30_721)
"""Of a lifecycle policy (botocore's model of ECR: `LifecyclePolicyText`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositorySettings:
    """Field `x_y` is key `x-y` of [tool.packager.ecr]."""

    repository: str | None = None
    """Name or address of where images go."""
    immutable_tags: bool = True
    scan_on_push: bool = True
    encryption: str = "AES256"
    kms_key: str | None = None
    expire_untagged_days: int | None = None
    lifecycle: str | None = None
    """File with a lifecycle policy, relative to the project."""
    applications: tuple[str, ...] = ()
    """Who may pull, for `packager publish`: IDs or ARNs, or `all` of the account."""


def parse_repository_settings(table: Mapping[str, Any], where: str) -> RepositorySettings:
    """Raise `ConfigError` for a key that is not known and for a value that it does not take."""
    known = {field.name.replace("_", "-"): field.name for field in fields(RepositorySettings)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise _wrong(where, key, f"known: {', '.join(known)}", "correct the name of the key")
        match key:
            case "immutable-tags" | "scan-on-push":
                fits, form = isinstance(value, bool), "true or false"
            case "expire-untagged-days":
                fits = type(value) is int and value > 0
                form = "a number of days"
            case "encryption":
                fits, form = value in KINDS, f"one of {', '.join(KINDS)}"
            case "applications":
                fits = isinstance(value, list) and all(isinstance(v, str) and v for v in value)
                form = "a list of texts"
            case _:
                fits, form = isinstance(value, str) and bool(value), "a text"
        if not fits:
            raise _wrong(where, key, f"it takes {form}, not {value!r}", "correct it")
        values[known[key]] = tuple(value) if isinstance(value, list) else value
    wanted = RepositorySettings(**values)
    if wanted.kms_key and wanted.encryption == "AES256":
        raise _wrong(where, "kms-key", "encryption is AES256", 'write encryption = "KMS"')
    if wanted.lifecycle and wanted.expire_untagged_days:
        raise _wrong(where, "lifecycle", "expire-untagged-days is set, too", "keep one of them")
    return wanted


def _wrong(where: str, key: str, why: str, fix: str) -> ConfigError:
    return ConfigError(f"{where}: `{key}` of [tool.packager.ecr] is wrong", why=why, fix=fix)


def creation(wanted: RepositorySettings) -> dict[str, Any]:
    """What CreateRepository is asked for, but for the name."""
    encryption = {"encryptionType": wanted.encryption}
    if wanted.kms_key:
        encryption["kmsKey"] = wanted.kms_key
    return {
        "imageTagMutability": "IMMUTABLE" if wanted.immutable_tags else "MUTABLE",
        "imageScanningConfiguration": {"scanOnPush": wanted.scan_on_push},
        "encryptionConfiguration": encryption,
    }


def lifecycle_of(wanted: RepositorySettings, text: str | None) -> Mapping[str, Any] | None:
    """The lifecycle policy; `text` is that of the file. Raise `ConfigError` for what is none."""
    if wanted.expire_untagged_days:
        return {
            "rules": [
                {
                    "rulePriority": 1,
                    "description": "packager: images that lost their tag",
                    "selection": {
                        "tagStatus": "untagged",
                        "countType": "sinceImagePushed",
                        "countUnit": "days",
                        "countNumber": wanted.expire_untagged_days,
                    },
                    "action": {"type": "expire"},
                }
            ]
        }
    if text is None:
        return None
    try:
        policy = parse_json(text)
    except ValueError as error:
        raise ConfigError(f"{wanted.lifecycle} is not JSON", why=str(error)) from error
    if not isinstance(policy, dict) or not isinstance(policy.get("rules"), list):
        raise ConfigError(
            f"{wanted.lifecycle} is not a lifecycle policy",
            why='it is no object with a list of "rules"',
            fix="write it as ECR's user guide shows",
        )
    if len(text) not in LIFECYCLE_CHARACTERS:
        raise ConfigError(
            f"{wanted.lifecycle} has {len(text)} characters",
            why=f"ECR takes {LIFECYCLE_CHARACTERS[0]} to {LIFECYCLE_CHARACTERS[-1]:,}",
        )
    return policy


def differences(
    told: Mapping[str, Any], wanted: RepositorySettings, *, lifecycle: bool = True
) -> tuple[str, ...]:
    """What DescribeRepositories tells otherwise than it is wanted, each with what changes it.

    `lifecycle` is whether its lifecycle policy is the one that is wanted, if one is.
    """
    name, found = told["repositoryName"], []
    asked = creation(wanted)
    mutability = str(told.get("imageTagMutability"))
    if mutability.partition("_")[0] != asked["imageTagMutability"]:
        found.append(
            f"tags are {mutability}, immutable-tags says {asked['imageTagMutability']}:"
            f" aws ecr put-image-tag-mutability --repository-name {name}"
            f" --image-tag-mutability {asked['imageTagMutability']}"
        )
    scans = bool((told.get("imageScanningConfiguration") or {}).get("scanOnPush"))
    if scans != wanted.scan_on_push:
        flag = str(wanted.scan_on_push).lower()
        found.append(
            f"scan-on-push is {str(scans).lower()}, not {flag}:"
            f" aws ecr put-image-scanning-configuration --repository-name {name}"
            f" --image-scanning-configuration scanOnPush={flag}"
        )
    encryption = told.get("encryptionConfiguration") or {}
    kind = encryption.get("encryptionType", "AES256")
    other_key = wanted.kms_key and not str(encryption.get("kmsKey")).endswith(wanted.kms_key)
    if kind != wanted.encryption or other_key:
        found.append(
            f"it is encrypted with {kind} {encryption.get('kmsKey', '')}".rstrip()
            + f", not {wanted.encryption} {wanted.kms_key or ''}".rstrip()
            + ": only a new repository can be encrypted otherwise"
        )
    if not lifecycle:
        found.append(
            "its lifecycle policy is another: aws ecr put-lifecycle-policy"
            f" --repository-name {name}"
        )
    return tuple(f"{name} is not as set up: {text}" for text in found)
