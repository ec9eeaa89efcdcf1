"""Points that were looked at, and how they are told. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from packager.errors import PackagerError

Area = Literal["this machine", "AWS"]
Status = Literal["ok", "missing", "optional", "unseen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One thing that was looked at."""

    area: Area
    name: str
    status: Status
    """`optional` is missing as well, but only for what `purpose` says."""
    told: str
    why: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How to look at something."""

    area: Area
    name: str
    see: Callable[[], str]
    """What is there, in words; raises a `PackagerError` for what is missing."""
    purpose: str = ""
    """What it is for, where everything else works without it."""


def examine(look: Look) -> Point:
    try:
        told = look.see()
    except PackagerError as error:
        return Point(
            area=look.area,
            name=look.name,
            status="optional" if look.purpose else "missing",
            told=error.what + (f" (only for {look.purpose})" if look.purpose else ""),
            why=error.why,
            fix=error.fix,
        )
    return Point(area=look.area, name=look.name, status="ok", told=told)


def unseen(look: Look, because: str) -> Point:
    """Not looked at, since something that comes before it is missing."""
    return Point(area=look.area, name=look.name, status="unseen", told=because)


def missing(points: Sequence[Point]) -> tuple[Point, ...]:
    """What must be there and is not, or could not be looked at."""
    return tuple(point for point in points if point.status in {"missing", "unseen"})


_WIDTH: Final = 10


def to_lines(points: Sequence[Point]) -> str:
    """For people."""
    lines: list[str] = []
    longest = max((len(point.name) for point in points), default=0)
    area = None
    for point in points:
        if point.area != area:
            area = point.area
            lines += [*([""] if lines else []), area]
        lines.append(f"  {point.status:<{_WIDTH}}{point.name:<{longest}}  {point.told}")
        indent = " " * (2 + _WIDTH + longest + 2)
        if point.why:
            lines.append(f"{indent}why: {point.why}")
        if point.fix:
            lines.append(f"{indent}fix: {point.fix}")
    lacking = missing(points)
    count = "1 thing is" if len(lacking) == 1 else f"{len(lacking)} things are"
    lines += ["", f"{count} missing" if lacking else "nothing that is needed is missing"]
    return "\n".join(lines)


def to_json(points: Sequence[Point]) -> dict[str, Any]:
    return {
        "passed": not missing(points),
        "points": [
            {
                "area": point.area,
                "name": point.name,
                "status": point.status,
                "told": point.told,
                "why": point.why,
                "fix": point.fix,
            }
            for point in points
        ],
    }
