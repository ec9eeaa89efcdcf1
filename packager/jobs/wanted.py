"""[tool.packager.application]: what an application is to be, as the API is told. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from packager.emitters.application import image_fields
from packager.errors import ConfigError
from packager.jobs.request import READERS as RUN_READERS
from packager.jobs.request import disk_encryption_of, monitoring_of, run_options
from packager.jobs.tables import choice, flag, number, read_table, string_map, text, texts
from packager.record import ImageRole, Record
from packager.releases import WorkerSize

WORKERS: Final[tuple[ImageRole, ...]] = ("driver", "executor")
SHARED: Final = tuple(
    key for key in RUN_READERS if key.startswith(("log-", "managed-", "prometheus-", "disk-"))
)
"""Keys that runs have, too: what an application says holds for its runs, unless they say it."""


def _image(value: object) -> str:
    uri = text(value)
    if not re.fullmatch(
        r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.[a-z0-9.-]+/[^@:]+(:[^@:]+|@sha256:\w+)", uri
    ):
        raise ValueError(
            "an image of a private repository in ECR by tag or by digest, as in"
            " 123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app@sha256:…"
        )
    return uri


def _images(value: object) -> str | dict[str, str]:
    """One for all, or one by worker."""
    if not isinstance(value, Mapping):
        return _image(value)
    if set(value) != set(WORKERS):
        raise ValueError("an image, or a table with one for `driver` and one for `executor`")
    return {worker: _image(uri) for worker, uri in value.items()}


def _size(unit: str) -> Any:
    def read(value: object) -> str:
        match = re.fullmatch(rf"([1-9]\d*)\s*({unit})?", str(value), re.IGNORECASE)
        if match is None:
            raise ValueError(f"a size, as in 4 {unit}")
        return f"{match[1]} {unit}"

    return read


def _capacity(value: object) -> dict[str, str]:
    keys = {"cpu": _size("vCPU"), "memory": _size("GB"), "disk": _size("GB")}
    if not isinstance(value, Mapping) or not {"cpu", "memory"} <= set(value) <= set(keys):
        raise ValueError('a table with cpu, memory and perhaps disk: cpu = "400 vCPU"')
    return {key: keys[key](size) for key, size in value.items()}


def _initial(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not set(value) <= set(WORKERS) or not value:
        raise ValueError("a table with `driver` and `executor`")
    found: dict[str, Any] = {}
    for worker, said in value.items():
        if not isinstance(said, Mapping) or "workers" not in said:
            raise ValueError(f"for {worker} a table with workers, cpu, memory and perhaps disk")
        rest = {k: v for k, v in said.items() if k not in {"workers", "disk-type"}}
        configuration: dict[str, Any] = _capacity(rest)
        if "disk-type" in said:
            kinds = choice("STANDARD", "SHUFFLE_OPTIMIZED")
            configuration["diskType"] = kinds(str(said["disk-type"]).upper())
        found[worker.upper()] = {
            "workerCount": number(1, 1_000_000)(said["workers"]),
            "workerConfiguration": configuration,
        }
    return found


def _classifications(value: object) -> dict[str, dict[str, str]]:
    if not isinstance(value, Mapping):
        raise ValueError("a table of tables")  # noqa: TRY004  # what all readers raise
    return {name: string_map(properties) for name, properties in value.items()}


def _minutes_or_never(value: object) -> int:
    """0 for never."""
    return 0 if value is False else int(number(1, 10080)(value))


def _api(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("a table of fields of CreateApplication")  # noqa: TRY004  # as all
    return dict(value)


READERS: Final = {
    "name": text,
    "type": choice("spark", "hive"),
    "image": _images,
    "resolve-image-at-start": flag,
    "maximum-capacity": _capacity,
    "initial-capacity": _initial,
    "auto-start": flag,
    "auto-stop-minutes": _minutes_or_never,
    "subnets": texts,
    "security-groups": texts,
    "max-concurrent-runs": number(1, 1000),
    "queue-timeout-minutes": number(15, 720),
    "studio": flag,
    "livy": flag,
    "sessions": flag,
    **{key: RUN_READERS[key] for key in SHARED},
    "conf": string_map,
    "classifications": _classifications,
    "tags": string_map,
    "api": _api,
}


def recorded_images(record: Record) -> str | dict[str, str] | None:
    """Those that were pushed: one for all, or one by worker; None where there are none."""
    pushed = {image.role: image.reference for image in record.images if image.reference}
    if {*WORKERS} <= pushed.keys():
        return {worker: pushed[worker] for worker in WORKERS}
    return pushed.get("")


def images_named(
    table: Mapping[str, Any], record: Record, given: str | None = None
) -> str | Mapping[str, str] | None:
    """Images of an application: as `given`, else of its table, else those that were pushed.

    Raise `ConfigError` for what is no image in ECR.
    """
    if given is not None:
        try:
            return _image(given)
        except ValueError as error:
            raise ConfigError(
                f"--image {given!r} is not what it takes", why=f"it takes {error}", fix="correct it"
            ) from None
    if "image" in table:
        said = read_table("application", {"image": table["image"]}, READERS)
        return said["image"]  # type: ignore[no-any-return]  # `_images` reads it
    return recorded_images(record)


def wanted_application(
    table: Mapping[str, Any],
    *,
    name: str,
    release: str,
    architecture: str,
    images: str | Mapping[str, str] | None,
    sizes: Sequence[WorkerSize] = (),
) -> dict[str, Any]:
    """Fields of CreateApplication. What the table does not name is left as it is, or to AWS.

    `images` are those of the record, by worker where there are several; the table's go before.
    Raise `ConfigError` for what can not be.
    """
    said = read_table("application", table, READERS)
    _require_sizes(said.get("initial-capacity", {}), sizes)
    wanted: dict[str, Any] = {
        "name": said.get("name", name),
        "type": said.get("type", "spark").upper(),
        "releaseLabel": release,
        "architecture": architecture,
        **_image_fields(said.get("image", images), said.get("resolve-image-at-start")),
    }
    if "maximum-capacity" in said:
        wanted["maximumCapacity"] = said["maximum-capacity"]
    if "initial-capacity" in said:
        wanted["initialCapacity"] = said["initial-capacity"]
    if "auto-start" in said:
        wanted["autoStartConfiguration"] = {"enabled": said["auto-start"]}
    if "auto-stop-minutes" in said:
        minutes = said["auto-stop-minutes"]
        wanted["autoStopConfiguration"] = (
            {"enabled": True, "idleTimeoutMinutes": minutes} if minutes else {"enabled": False}
        )
    for field, members in (
        ("networkConfiguration", {"subnets": "subnetIds", "security-groups": "securityGroupIds"}),
        (
            "schedulerConfiguration",
            {
                "max-concurrent-runs": "maxConcurrentRuns",
                "queue-timeout-minutes": "queueTimeoutMinutes",
            },
        ),
        (
            "interactiveConfiguration",
            {
                "studio": "studioEnabled",
                "livy": "livyEndpointEnabled",
                "sessions": "sessionEnabled",
            },
        ),
    ):
        found = {member: said[key] for key, member in members.items() if key in said}
        if found:
            wanted[field] = {k: list(v) if isinstance(v, tuple) else v for k, v in found.items()}
    shared = run_options({k: said[k] for k in SHARED if k in said}, {})
    if monitoring := monitoring_of(shared):
        wanted["monitoringConfiguration"] = monitoring
    if encryption := disk_encryption_of(shared):
        wanted["diskEncryptionConfiguration"] = encryption
    if configurations := _runtime(said):
        wanted["runtimeConfiguration"] = configurations
    if "tags" in said:
        wanted["tags"] = said["tags"]
    return {**wanted, **said.get("api", {})}


def _image_fields(
    images: str | Mapping[str, str] | None,
    at_start: bool | None,  # noqa: FBT001  # as it is set
) -> dict[str, Any]:
    more = {} if at_start is None else {"applicationLevelDigestResolution": at_start}
    if isinstance(images, Mapping):
        images = {worker: images[worker] for worker in WORKERS}
    return image_fields(images, more)


def _runtime(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    properties = dict(said.get("classifications", {}))
    if "conf" in said:
        if "spark-defaults" in properties:
            raise ConfigError(
                "`conf` and `classifications.spark-defaults` of [tool.packager.application]"
                " are the same",
                fix="keep one of them",
            )
        properties["spark-defaults"] = said["conf"]
    return [{"classification": name, "properties": p} for name, p in properties.items()]


def _require_sizes(initial: Mapping[str, Any], sizes: Sequence[WorkerSize]) -> None:
    for worker, capacity in initial.items():
        size = capacity["workerConfiguration"]
        cpu, memory = (int(size[key].split()[0]) for key in ("cpu", "memory"))
        fitting = [s for s in sizes if s.vcpu == cpu]
        if sizes and not fitting:
            raise ConfigError(
                f"there are no workers of {cpu} vCPU",
                why=f"[tool.packager.application.initial-capacity.{worker.lower()}] asks for them",
                fix=f"choose {', '.join(str(s.vcpu) for s in sizes)}",
            )
        for s in fitting:
            low, high, step = s.memory_min_gb, s.memory_max_gb, s.memory_step_gb
            if not low <= memory <= high or (memory - low) % step:
                raise ConfigError(
                    f"a worker of {cpu} vCPU can not have {memory} GB",
                    why=f"[tool.packager.application.initial-capacity.{worker.lower()}] asks for"
                    " it",
                    fix=f"choose {low} to {high} GB in steps of {step}",
                )
