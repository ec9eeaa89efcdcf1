"""What moving from one release to another changes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.utils import parse_wheel_filename

from packager.record import Record, RecordedWheel
from packager.releases import Release, shown_facts
from packager.target import Target, parse_arch


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One fact that is another; `unknown` where nobody has published it."""

    fact: str
    old: str
    new: str


def changes(old: Release, new: Release) -> tuple[Change, ...]:
    """The facts that differ, in the order of the table."""
    before, after = shown_facts(old), shown_facts(new)
    return tuple(
        Change(fact=name, old=before[name], new=after[name])
        for name in after
        if before[name] != after[name]
    )


def unfit(record: Record, new: Release) -> tuple[RecordedWheel, ...]:
    """The wheels of a record that the release's own Python or C library can not use.

    Raise `ConfigError` where the release's C library is not known.
    """
    target = Target(release=new, arch=parse_arch(record.arch), python=new.python)
    tags = frozenset(target.tags())
    return tuple(
        wheel for wheel in record.wheels if not parse_wheel_filename(wheel.filename)[3] & tags
    )


def changes_text(
    old: Release, new: Release, records: Sequence[tuple[Record, Sequence[RecordedWheel]]]
) -> str:
    found = changes(old, new)
    width = max((len(change.fact) for change in found), default=0)
    lines = [f"{old.label} -> {new.label}", ""]
    for change in found:
        lines.append(f"  {change.fact.ljust(width)}  {change.old}")
        lines.append(f"  {'':{width}}    -> {change.new}")
    if not found:
        lines.append("  nothing that is known")
    for record, wheels in records:
        lines += ["", f"{record.name}: {_verdict(wheels, new)}"]
        lines += [f"  {wheel.filename}" for wheel in wheels]
    return "\n".join(lines)


def _verdict(wheels: Sequence[RecordedWheel], new: Release) -> str:
    if not wheels:
        return "every wheel fits"
    return f"wheels that Python {new.python} of {new.label} can not use: {len(wheels)}; pack again"
