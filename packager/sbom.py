"""The bill of materials that stands beside a record: CycloneDX 1.6 as JSON. Pure.

It holds no time and no random number: the same input gives the same bytes.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import quote

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from packager.facts import Distribution
from packager.record import SUFFIX, Record, RecordedBuild, RecordedWheel
from packager.requirements import requirement as parsed
from packager.target import Target

SBOM_SUFFIX: Final = ".cdx.json"
NAMESPACE: Final = uuid.UUID("0b9c6d5e-6f0f-5b7e-9d0a-5f6a2c1b7e43")
"""Of our serial numbers; chosen once."""

Json = dict[str, Any]


def sbom_name(record: Record) -> str:
    """Of the file beside the record's."""
    return record.name.removesuffix(SUFFIX) + SBOM_SUFFIX


def sbom_text(
    record: Record,
    distributions: Iterable[Distribution],
    target: Target,
    *,
    extras: Sequence[str] = (),
) -> str:
    """The wheels of `record`, and which needs which, as their metadata say it.

    `extras` are those of the project. A project without metadata, as a folder is, counts as
    needing what nothing else inside needs.
    """
    own = canonicalize_name(record.project)
    wheels = {canonicalize_name(w.name): w for w in sorted(record.wheels, key=lambda w: w.name)}
    wheels.pop(own, None)  # that is the project itself
    known = {canonicalize_name(d.name): d for d in distributions}
    needs = _needs(known, own, target, extras)
    if own not in known:
        needed = {name for names in needs.values() for name in names}
        needs[own] = wheels.keys() - needed
    refs = {name: _purl(wheel) for name, wheel in wheels.items()} | {own: "project"}
    document: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [_tool(record.tool)]},
            "component": _project(record, refs[own]),
            "properties": _properties(record),
        },
        "components": [
            *(_component(wheel, known.get(name)) for name, wheel in wheels.items()),
            *([] if record.interpreter is None else [_interpreter(record.interpreter)]),
        ],
        "dependencies": [
            {
                "ref": ref,
                "dependsOn": sorted(
                    refs[n] for n in needs.get(name, set()) if n in refs and n != name
                ),
            }
            for name, ref in sorted(refs.items(), key=lambda item: (item[0] != own, item[1]))
        ],
    }
    serial = uuid.uuid5(NAMESPACE, json.dumps(document, sort_keys=True))
    document = {"serialNumber": f"urn:uuid:{serial}", **document}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _tool(text: str) -> Json:
    name, _, version = text.partition(" ")
    return {"type": "application", "name": name, "version": version}


def _project(record: Record, ref: str) -> Json:
    version = {"version": record.version} if record.version else {}
    # Two entry points may be the same file.
    artifacts = {a.file: a for a in record.artifacts}
    files = [
        {"type": "distribution", "url": quote(a.file), "hashes": _hashes(a.sha256)}
        for a in artifacts.values()
    ]
    return {
        "type": "application",
        "bom-ref": ref,
        "name": record.project,
        **version,
        **({"externalReferences": files} if files else {}),
    }


def _properties(record: Record) -> list[Json]:
    values = [
        ("release", record.release),
        ("arch", record.arch),
        ("python", record.python),
        ("layout", record.layout),
        ("builder", record.builder),
        ("lock", record.lock),
        ("lock-sha256", record.lock_sha256),
        ("commit", record.commit),
        *(("provided-by-release", name) for name in record.dropped),
    ]
    return [{"name": f"packager:{name}", "value": value} for name, value in values if value]


def _component(wheel: RecordedWheel, distribution: Distribution | None) -> Json:
    component: Json = {
        "type": "library",
        "bom-ref": _purl(wheel),
        "name": wheel.name,
        "version": wheel.version,
    }
    if wheel.sha256:
        component["hashes"] = _hashes(wheel.sha256)
    if license_ := _license(distribution):
        component["licenses"] = [{"expression": license_, "acknowledgement": "declared"}]
    component["purl"] = _purl(wheel)
    component["properties"] = [{"name": "packager:wheel", "value": wheel.filename}]
    return component


def _interpreter(build: RecordedBuild) -> Json:
    return {
        "type": "platform",
        "bom-ref": f"pkg:generic/python@{build.version}",
        "name": "python",
        "version": build.version,
        "hashes": _hashes(build.sha256),
        "licenses": [{"expression": "PSF-2.0", "acknowledgement": "declared"}],
        "purl": f"pkg:generic/python@{build.version}",
        "properties": [{"name": "packager:build", "value": build.filename}],
    }


def _license(distribution: Distribution | None) -> str:
    """The expression in its normal form; none where SPDX does not know it."""
    if distribution is None or not distribution.license:
        return ""
    try:
        return str(canonicalize_license_expression(distribution.license))
    except InvalidLicenseExpression:
        return ""


def _hashes(sha256: str) -> list[Json]:
    return [{"alg": "SHA-256", "content": sha256}]


def _purl(wheel: RecordedWheel) -> str:
    """The package URL: its `pypi` type wants the normalised name; a `+` in versions is encoded."""
    return f"pkg:pypi/{quote(wheel.name)}@{quote(wheel.version)}"


def _needs(
    known: Mapping[NormalizedName, Distribution],
    own: NormalizedName,
    target: Target,
    extras: Sequence[str],
) -> dict[NormalizedName, set[NormalizedName]]:
    """What each needs on the target, with the extras that others ask it for."""
    wanted: dict[NormalizedName, set[str]] = {name: set() for name in known}
    wanted.setdefault(own, set()).update(canonicalize_name(extra) for extra in extras)
    needs: dict[NormalizedName, set[NormalizedName]] = {}
    todo = set(known)
    while todo:  # an extra of one may ask for an extra of another that was done before
        name = todo.pop()
        needs[name] = set()
        for requirement in _applying(known[name], target, wanted[name]):
            other = canonicalize_name(requirement.name)
            needs[name].add(other)
            asked = {canonicalize_name(extra) for extra in requirement.extras}
            if other in known and not asked <= wanted[other]:
                wanted[other] |= asked
                todo.add(other)
    return needs


def _applying(
    distribution: Distribution, target: Target, extras: Iterable[str]
) -> Iterator[Requirement]:
    environments = [
        cast("dict[str, str]", {**target.markers(), "extra": extra}) for extra in ("", *extras)
    ]
    for text in distribution.requires_dist:
        try:
            requirement = parsed(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate(e) for e in environments):
                yield requirement
        except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
            continue  # the checks warn of it
