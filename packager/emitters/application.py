"""Fields of CreateApplication in the words of CloudFormation, the CDK and Terraform. Pure.

Sources: the resource `AWS::EMRServerless::Application` as cfn-lint 1.58 has it, which the CDK's
`CfnApplication` follows; `aws_emrserverless_application` of hashicorp/aws 6.25.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from packager.errors import ConfigError

Tree = Mapping[str, Any]
"""Fields, with what is known of their members; nothing for a value, `ANY` for names of a user's."""

ANY: Final = "*"
_SIZE: Final[Tree] = {"cpu": {}, "memory": {}, "disk": {}}
_IMAGE: Final[Tree] = {"imageUri": {}}
_PROPERTIES: Final[Tree] = {"classification": {}, "properties": {ANY: {}}}
_TERRAFORM: Final[Tree] = {
    "name": {},
    "type": {},
    "releaseLabel": {},
    "architecture": {},
    "autoStartConfiguration": {"enabled": {}},
    "autoStopConfiguration": {"enabled": {}, "idleTimeoutMinutes": {}},
    "imageConfiguration": _IMAGE,
    "initialCapacity": {ANY: {"workerCount": {}, "workerConfiguration": _SIZE}},
    "interactiveConfiguration": {"livyEndpointEnabled": {}, "studioEnabled": {}},
    "maximumCapacity": _SIZE,
    "monitoringConfiguration": {
        "s3MonitoringConfiguration": {"logUri": {}, "encryptionKeyArn": {}},
        "managedPersistenceMonitoringConfiguration": {"enabled": {}, "encryptionKeyArn": {}},
        "cloudWatchLoggingConfiguration": {
            "enabled": {},
            "logGroupName": {},
            "logStreamNamePrefix": {},
            "encryptionKeyArn": {},
            "logTypes": {ANY: {}},
        },
        "prometheusMonitoringConfiguration": {"remoteWriteUrl": {}},
    },
    "networkConfiguration": {"subnetIds": {}, "securityGroupIds": {}},
    "runtimeConfiguration": _PROPERTIES,
    "schedulerConfiguration": {"maxConcurrentRuns": {}, "queueTimeoutMinutes": {}},
    "tags": {ANY: {}},
}
_CLOUDFORMATION: Final[Tree] = {
    **_TERRAFORM,
    "identityCenterConfiguration": {"identityCenterInstanceArn": {}},
    "initialCapacity": {ANY: {"workerCount": {}, "workerConfiguration": {**_SIZE, "diskType": {}}}},
    "interactiveConfiguration": {
        **_TERRAFORM["interactiveConfiguration"],
        "sessionEnabled": {},
    },
    "runtimeConfiguration": {**_PROPERTIES, "configurations": _PROPERTIES},
    "workerTypeSpecifications": {ANY: {"imageConfiguration": _IMAGE}},
}
_PAIRS: Final = {"initialCapacity": "initialCapacity", "logTypes": "logTypeMap", "tags": "tags"}
"""Maps that CloudFormation has as lists of keys and values, with its names of them."""
_BLOCKS: Final = {
    "initialCapacity": ("initialCapacityType", "initialCapacityConfig"),
    "logTypes": ("name", "values"),
}
"""Maps that Terraform has as blocks, one for an entry; and its names of key and value."""


def image_fields(
    images: str | Mapping[str, str] | None, more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Of CreateApplication: one image for all, or by worker; with `more` of each.

    UG 'Customizing an EMR Serverless image': all worker types, by these names.
    """
    if not images:
        return {}
    if isinstance(images, str):
        return {"imageConfiguration": {"imageUri": images, **(more or {})}}
    return {
        "workerTypeSpecifications": {
            worker.capitalize(): {"imageConfiguration": {"imageUri": uri, **(more or {})}}
            for worker, uri in images.items()
        }
    }


def for_cloudformation(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Properties of the resource. Raise `ConfigError` for a field it has no place for."""
    found: dict[str, Any] = _capitalised(for_cdk(fields, form="CloudFormation"))
    return found


def for_cdk(fields: Mapping[str, Any], *, form: str = "the CDK") -> dict[str, Any]:
    """As the CDK's resource takes them, but for the names of its arguments themselves.

    Raise `ConfigError` for a field it has no place for.
    """
    _require_room(fields, _CLOUDFORMATION, form)
    return {_PAIRS.get(key, key): _paired(key, value) for key, value in fields.items()}


def for_terraform(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments and blocks by Terraform's names; a list of mappings is a block for each.

    Raise `ConfigError` for a field that the provider has no place for.
    """
    if "workerTypeSpecifications" in fields:
        raise ConfigError(
            "one image for the driver and one for executors can not be written for Terraform",
            why="its provider hashicorp/aws has no place for images by worker (6.25)",
            fix="use one image for both, `--format cloudformation`, or packager deploy",
        )
    _require_room(fields, _TERRAFORM, "Terraform")
    return _snake(fields)


def argument(name: str) -> str:
    """A field's name with underscores, as Python and Terraform write it."""
    return re.sub(r"(?<!^)([A-Z])", lambda found: f"_{found[1].lower()}", name)


def _require_room(fields: Mapping[str, Any], known: Tree, form: str) -> None:
    lacking = ", ".join(_unknown(fields, known))
    if lacking:
        raise ConfigError(
            f"{lacking} of the application can not be written for {form}",
            why="its resource of an EMR Serverless application has no place for it",
            fix="leave it out of [tool.packager.application], or use packager deploy",
        )


def _unknown(value: object, known: Tree, path: str = "") -> Iterator[str]:
    match value:
        case Mapping():
            for key, item in value.items():
                inner = f"{path}.{key}" if path else key
                if key not in known and ANY not in known:
                    yield inner
                else:
                    yield from _unknown(item, known.get(key, known.get(ANY)), inner)
        case list():
            for item in value:
                yield from _unknown(item, known, path)
        case _:
            pass


def _paired(key: str, value: Any) -> Any:
    match value:
        case Mapping() if key in _PAIRS:
            return [{"key": k, "value": _paired("", v)} for k, v in value.items()]
        case Mapping() if key in {"properties", "workerTypeSpecifications"}:
            return dict(value)
        case Mapping():
            return {_PAIRS.get(k, k): _paired(k, v) for k, v in value.items()}
        case list():
            return [_paired("", item) for item in value]
        case _:
            return value


def _capitalised(value: Any, *, names: bool = True) -> Any:
    """With capitals at the start of names, but for names that are a user's."""
    match value:
        case Mapping():
            return {
                key[:1].upper() + key[1:] if names else key: _capitalised(
                    item, names=key not in {"properties", "workerTypeSpecifications"}
                )
                for key, item in value.items()
            }
        case list():
            return [_capitalised(item) for item in value]
        case _:
            return value


def _snake(fields: Mapping[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for key, value in fields.items():
        # The one name that Terraform divides in its own way.
        name = argument(key.replace("cloudWatch", "cloudwatch"))
        match value:
            case Mapping() if key in {"tags", "properties"}:
                written[name] = dict(value)
            case Mapping() if key in _BLOCKS:
                label, held = map(argument, _BLOCKS[key])
                written[name] = [
                    {label: k, held: [_snake(v)] if isinstance(v, Mapping) else list(v)}
                    for k, v in value.items()
                ]
            case Mapping():
                written[name] = [_snake(value)]
            case list() if value and isinstance(value[0], Mapping):
                written[name] = [_snake(item) for item in value]
            case _:
                written[name] = value
    return written
