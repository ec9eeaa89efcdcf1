"""Why a run failed: known messages in its details and logs, explained with the record's facts."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from packager.documents import parse_toml
from packager.record import Record
from packager.releases import Release

TABLE: Final = Path(__file__).parents[1] / "data" / "failures.toml"
UNKNOWN: Final = "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A message that is known; see the data file."""

    id: str
    pattern: re.Pattern[str]
    why: str
    fix: str
    example: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    rule: str
    line: str
    """Where it was seen."""
    why: str
    fix: str


@cache
def known_failures() -> tuple[Rule, ...]:
    table = parse_toml(TABLE.read_text(encoding="utf-8"))
    return tuple(Rule(**{**row, "pattern": re.compile(row["pattern"])}) for row in table["failure"])


def explain(lines: Iterable[str], facts: Mapping[str, str]) -> tuple[Explanation, ...]:
    """What is known of a run's messages, the most telling first; nothing where none is known.

    `facts` fill what the rules leave open; see `facts_of`.
    """
    rules = known_failures()
    found: dict[str, Explanation] = {}
    for line in lines:
        for rule in rules:
            if rule.id not in found and (match := rule.pattern.search(line)):
                found[rule.id] = _explained(rule, match, facts)
    return tuple(found[rule.id] for rule in rules if rule.id in found)


def _explained(rule: Rule, match: re.Match[str], facts: Mapping[str, str]) -> Explanation:
    said = {**facts, **{k: v for k, v in match.groupdict().items() if v is not None}}
    if "module" in said:
        said["packed"] = (
            facts.get(f"packed {said['module'].partition('.')[0].lower()}") or facts["packed"]
        )
    values = {"0": " ".join(match[0].split())[:200], **said}

    def filled(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda m: values.get(m[1], UNKNOWN), text).strip()

    return Explanation(
        rule=rule.id,
        line=match.string.strip()[:300],
        why=filled(rule.why),
        fix=filled(rule.fix),
    )


def facts_of(record: Record | None, release: Release | None, conf: str) -> dict[str, str]:
    """What rules may say of a run; `conf` are its sparkSubmitParameters."""
    facts = {"packed": "", "environment": ""}
    if release is not None:
        glibc = ".".join(map(str, release.glibc)) if release.glibc else UNKNOWN
        facts |= {"release": release.label, "glibc": glibc}
    if record is None:
        return facts
    facts |= {"arch": record.arch, "python": record.python}
    facts["packed"] = "No wheel of that name was packed."
    for wheel in record.wheels:
        facts[f"packed {wheel.name.lower().replace('-', '_')}"] = (
            f"{wheel.name} {wheel.version} is packed, so the job does not use the environment,"
            " or is run by another Python than it was packed for."
        )
    environment = record.artifact("environment")
    if environment is not None:
        used = environment.file in conf
        facts["environment"] = (
            f"The run does unpack {environment.file}."
            if used
            else f"The run does not unpack {environment.file}."
        )
    return facts
