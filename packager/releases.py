"""The release table: what is known of every EMR Serverless release, as data. Pure but for one file.

The facts stand in `data/emr-releases.toml`, each with its source. What nobody has published is
`None` here and `unknown` for people; it is never filled in by a guess. What a project knows better
it states in `[tool.packager.releases]`, and then the project is the source.
"""

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

from packager.errors import ConfigError

T = TypeVar("T")

Fact: TypeAlias = str | bool | int | tuple[str, ...] | None
"""`None`: not known. The empty text or tuple: known, and the release has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python that a release's image has."""

    python: str
    """Minor version, e.g. `3.11`."""
    path: str
    """Absolute path in the image, e.g. `/usr/bin/python3.11`."""
    confirmed: bool
    """False where the path is inferred from a sibling release and nobody has published it."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What is known of one EMR Serverless release; `None` means that it is not known."""

    label: str
    """As the API takes it, e.g. `emr-7.13.0` or `emr-spark-8.1.0`."""
    spark: str
    """Apache Spark version, e.g. `3.5.6`."""
    os: str | None
    """`AL2` or `AL2023`."""
    glibc: tuple[int, int] | None
    """Version of the C library, which decides what compiled wheels run."""
    python: str
    """Minor version of the Python that PySpark uses unless told otherwise, e.g. `3.11`."""
    interpreters: tuple[Interpreter, ...]
    """Those whose path is known, the default first."""
    architectures: tuple[str, ...] | None
    """Our names (`amd64`, `arm64`)."""
    java: str | None
    """Major version of the Java that Spark uses unless told otherwise, e.g. `17`."""
    base_image: str | None
    """Repository of the Spark image, without a tag; empty where the release takes no image."""
    facts: Mapping[str, Fact]
    """Every other fact of the table under its own name (`delta_jars`, `hadoop`, …)."""
    sources: Mapping[str, str]
    """Fact name to where it comes from."""

    def interpreter(self, python: str) -> Interpreter | None:
        """The release's own Python of that minor version, if one is known."""
        return next((i for i in self.interpreters if i.python == python), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSize:
    """What memory a worker of that many vCPU can have."""

    vcpu: int
    memory_min_gb: int
    memory_max_gb: int
    memory_step_gb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What EMR Serverless refuses whatever the release; the AWS SDK checks none of it."""

    spark_submit_parameters_chars: int
    entry_point_chars: int
    entry_point_arguments_items: int
    spark_defaults_properties: int
    spark_defaults_key_chars: int
    spark_defaults_value_chars: int
    job_name_chars: int
    image_gb: int
    worker_disk_default_gb: int
    worker_disk_max_gb: int
    worker_sizes: tuple[WorkerSize, ...]
    sources: Mapping[str, str]
    """Limit name to where it comes from."""


class _TableError(ValueError):
    """A value is not what the table can hold; `what` begins with its TOML path."""

    def __init__(self, what: str, *, fix: str = "") -> None:
        super().__init__(what)
        self.fix = fix


PROJECT_SOURCE: Final = "[tool.packager.releases] of the project"
TABLE: Final = Path(__file__).parent / "data" / "emr-releases.toml"

_ARCHITECTURES: Final = ("amd64", "arm64")
_MINOR_VERSION: Final = re.compile(r"\d+\.\d+")
_SPARK_VERSION: Final = re.compile(r"\d+\.\d+\.\d+\S*")


# How a fact is read. A reader raises ValueError with what the value must be.


def _text(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        raise ValueError("text, or `unknown`")
    return {"unknown": None, "none": ""}.get(value, value)


def _flag(value: object) -> bool:
    if value is not True and value is not False:
        raise ValueError("true or false")
    return value is True


def _flag_or_unknown(value: object) -> bool | None:
    return None if value == "unknown" else _flag(value)


def _number(value: object) -> int:
    if not isinstance(value, int) or value is True or value is False:
        raise ValueError("a whole number")
    return value


def _number_or_unknown(value: object) -> int | None:
    return None if value == "unknown" else _number(value)


def _texts(value: object) -> tuple[str, ...] | None:
    if value == "unknown":
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("a list of texts, or `unknown`")
    return tuple(value)


def _architectures(value: object) -> tuple[str, ...] | None:
    names = _texts(value) if isinstance(value, list | str) else ()
    if names is not None and (not names or not set(names) <= set(_ARCHITECTURES)):
        raise ValueError(f"a list of {' and '.join(_ARCHITECTURES)}, or `unknown`")
    return names


def _spark(value: object) -> str:
    if not isinstance(value, str) or not _SPARK_VERSION.fullmatch(value):
        raise ValueError('a version in quotes such as "3.5.6"')
    return value


def _python(value: object) -> str:
    if not isinstance(value, str) or not _MINOR_VERSION.fullmatch(value):
        raise ValueError('a minor version in quotes such as "3.11"')
    return value


def _glibc(value: object) -> tuple[int, int] | None:
    if value == "unknown":
        return None
    if not isinstance(value, str) or not _MINOR_VERSION.fullmatch(value):
        raise ValueError('a version in quotes such as "2.34", or `unknown`')
    major, minor = value.split(".")
    return int(major), int(minor)


def _absolute_path(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueError('an absolute path such as "/usr/bin/python3.11"')
    return value


_OTHER_FACTS: Final[Mapping[str, Callable[[object], Fact]]] = {
    "spark_full": _text,
    "hadoop": _text,
    "scala": _text,
    "delta": _text,
    "iceberg": _text,
    "hudi": _text,
    "python_usr_bin_python3": _text,
    "python_pyspark_default_path": _text,
    "python_in_release": _texts,
    "java_available": _texts,
    "java_17_supported": _flag_or_unknown,
    "java_home_17_x86_64": _text,
    "java_home_17_arm64": _text,
    "custom_image_supported": _flag_or_unknown,
    "base_image_tags_seen": _texts,
    "image_release_label_validated": _flag_or_unknown,
    "image_digest_resolution_default": _text,
    "preinstalled_numpy_pandas_pyarrow": _flag_or_unknown,
    "preinstalled_versions": _texts,
    "delta_jars": _texts,
    "delta_python_glob": _text,
    "iceberg_jars": _texts,
    "hudi_jars": _texts,
    "redshift_jars_required": _texts,
    "redshift_connector_included": _flag_or_unknown,
    "kinesis_jar": _text,
    "emrfs": _flag_or_unknown,
    "dynamic_allocation_max_executors_default": _text,
    "scheduler_configuration": _text,
    "retries_and_streaming_mode": _flag_or_unknown,
    "shuffle_optimized_disk": _flag_or_unknown,
    "serverless_storage": _flag_or_unknown,
    "batch_timeout_zero_allowed": _flag_or_unknown,
    "batch_timeout_max_minutes": _number_or_unknown,
    "spark_defaults_app_job_merge": _text,
}

_NAMED_FACTS: Final = tuple(
    field.name
    for field in dataclasses.fields(Release)
    if field.name not in {"label", "facts", "sources"}
)
FACT_NAMES: Final = (*_NAMED_FACTS, *_OTHER_FACTS)
"""Every fact of a release, in the order in which people are shown them."""

_OF_ONE_LABEL: Final = ("spark_full", "base_image", "base_image_tags_seen")
"""What `like` does not take over: from 7.14 on EMR refuses the image of another label."""


def _read(table: Mapping[str, Any], key: str, path: str, reader: Callable[[object], T]) -> T:
    if key not in table:
        raise _TableError(f"{path}.{key} is missing")
    try:
        return reader(table[key])
    except ValueError as error:
        raise _TableError(f"{path}.{key} must be {error}, not {table[key]!r}") from error


def _as_table(value: object, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _TableError(f"{path} must be a table, not {value!r}")
    return value


def _require_known_keys(table: Iterable[str], path: str, known: Iterable[str]) -> None:
    known = tuple(known)
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise _TableError(
                f"{path}.{key}".removeprefix(".") + " is not a known key",
                fix=f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}",
            )


def _read_interpreters(
    table: Mapping[str, Any], path: str, read_row: Callable[[Mapping[str, Any], str], Interpreter]
) -> tuple[Interpreter, ...]:
    rows = enumerate(_read(table, "interpreters", path, _tables))
    return tuple(read_row(row, f"{path}.interpreters[{n}]") for n, row in rows)


def _tables(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValueError("a list of tables")
    return value


@dataclass(frozen=True, slots=True)
class _Block:
    """Facts as a family or a release states them, over those that it takes from another."""

    facts: Mapping[str, Any]
    origins: Mapping[str, str]
    """Fact to the TOML path of the block that states it."""
    sources: Mapping[str, Any]

    def extended(self, table: Mapping[str, Any], path: str) -> "_Block":
        facts = {key: value for key, value in table.items() if key != "sources"}
        sources = _as_table(table.get("sources", {}), f"{path}.sources")
        _require_known_keys(facts, path, FACT_NAMES)
        _require_known_keys(sources, f"{path}.sources", FACT_NAMES)
        for name in facts:
            # The source of the old value would stand beside the new one. Interpreters bring
            # their sources with them, row by row.
            if name in self.facts and name not in sources and name != "interpreters":
                raise _TableError(f"{path}.sources.{name} is missing: {path}.{name} is stated anew")
        return _Block(
            facts={**self.facts, **facts},
            origins={**self.origins, **dict.fromkeys(facts, path)},
            sources={**self.sources, **sources},
        )


@cache
def _document() -> Mapping[str, Any]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


@cache
def known_releases() -> Mapping[str, Release]:
    """Every release of the table by its label, oldest first, `emr-*` before `emr-spark-*`."""
    return read_releases(_document())


@cache
def limits() -> Limits:
    """What holds for every release."""
    return read_limits(_document())


def read_releases(document: Mapping[str, Any]) -> Mapping[str, Release]:
    """Read a whole table; anything missing, unknown or of a wrong type is a `ValueError`."""
    _require_known_keys(document, "", ("checked", "sources", "limits", "family", "release"))
    families: dict[str, _Block] = {}
    for name, table in _as_table(document.get("family"), "family").items():
        path = f'family."{name}"'
        stated = dict(_as_table(table, path))
        like = stated.pop("like", None)
        base = _named(families, like, f"{path}.like") if like else None
        families[name] = (base or _Block({}, {}, {})).extended(stated, path)
    releases = {}
    for label, table in _as_table(document.get("release"), "release").items():
        path = f'release."{label}"'
        stated = dict(_as_table(table, path))
        block = _named(families, stated.pop("family", None), f"{path}.family").extended(
            stated, path
        )
        releases[label] = _release(label, block, path)
    return MappingProxyType(releases)


def _named(families: Mapping[str, _Block], name: object, path: str) -> _Block:
    if not isinstance(name, str) or name not in families:
        raise _TableError(f"{path} must name a family that stands above it, not {name!r}")
    return families[name]


def _release(label: str, block: _Block, path: str) -> Release:
    def read(name: str, reader: Callable[[object], T]) -> T:
        return _read(block.facts, name, block.origins.get(name, path), reader)

    interpreters = _read_interpreters(
        block.facts, block.origins.get("interpreters", path), _interpreter
    )
    release = Release(
        label=label,
        spark=read("spark", _spark),
        os=read("os", _text),
        glibc=read("glibc", _glibc),
        python=read("python", _python),
        interpreters=interpreters,
        architectures=read("architectures", _architectures),
        java=read("java", _text),
        base_image=read("base_image", _text),
        facts={name: read(name, reader) for name, reader in _OTHER_FACTS.items()},
        sources={},
    )
    cited = dict.fromkeys(i.source for i in interpreters)
    sources = {**block.sources, **({"interpreters": "; ".join(cited)} if cited else {})}
    return dataclasses.replace(
        release,
        sources={name: _read(sources, name, f"{path}.sources", _cited) for name in FACT_NAMES},
    )


def _interpreter(row: Mapping[str, Any], path: str) -> Interpreter:
    _require_known_keys(row, path, ("python", "path", "confirmed", "source"))
    return Interpreter(
        python=_read(row, "python", path, _python),
        path=_read(row, "path", path, _absolute_path),
        confirmed=_read(row, "confirmed", path, _flag),
        source=_read(row, "source", path, _cited),
    )


def _cited(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("the text of a source")
    return value


def read_limits(document: Mapping[str, Any]) -> Limits:
    """Read `[limits]`; anything missing, unknown or of a wrong type is a `ValueError`."""
    table = _as_table(document.get("limits"), "limits")
    _require_known_keys(table, "limits", (field.name for field in dataclasses.fields(Limits)))
    sources = _as_table(table.get("sources"), "limits.sources")
    numbers = [
        f.name for f in dataclasses.fields(Limits) if f.name not in {"worker_sizes", "sources"}
    ]
    _require_known_keys(sources, "limits.sources", (*numbers, "worker_sizes"))
    rows = _read(table, "worker_sizes", "limits", _tables)
    values: dict[str, Any] = {name: _read(table, name, "limits", _number) for name in numbers}
    return Limits(
        **values,
        worker_sizes=tuple(
            _worker_size(row, f"limits.worker_sizes[{n}]") for n, row in enumerate(rows)
        ),
        sources={
            name: _read(sources, name, "limits.sources", _cited)
            for name in (*numbers, "worker_sizes")
        },
    )


def _worker_size(row: Mapping[str, Any], path: str) -> WorkerSize:
    names = [field.name for field in dataclasses.fields(WorkerSize)]
    _require_known_keys(row, path, names)
    return WorkerSize(**{name: _read(row, name, path, _number) for name in names})


_PROJECT_FACTS: Final[Mapping[str, tuple[str, Callable[[object], Any]]]] = {
    "spark": ("spark", _spark),
    "os": ("os", _text),
    "glibc": ("glibc", _glibc),
    "python": ("python", _python),
    "architectures": ("architectures", _architectures),
    "java": ("java", _text),
    "base-image": ("base_image", _text),
}
"""Key of the project's table to the fact it states and how that is read."""

_PROJECT_KEYS: Final = ("like", *_PROJECT_FACTS, "interpreters")


def with_additions(table: Mapping[str, Any]) -> Mapping[str, Release]:
    """The known releases and what the project's `[tool.packager.releases]` adds or knows better.

    Raise `ConfigError` for a key or value that the table cannot hold.
    """
    known = known_releases()
    try:
        stated = _as_table(table, "tool.packager.releases")
        added = {label: _addition(label, entry, known) for label, entry in stated.items()}
    except _TableError as error:
        raise ConfigError(
            str(error),
            why="[tool.packager.releases] states facts of EMR Serverless releases, by label",
            fix=error.fix or "correct it in pyproject.toml",
        ) from error
    if not added:
        return known
    merged = {**known, **added}
    kinds = list(dict.fromkeys(_kind(label) for label in merged))
    order = sorted(merged, key=lambda label: (kinds.index(_kind(label)), _version(label)))
    return MappingProxyType({label: merged[label] for label in order})


def _addition(label: str, entry: object, known: Mapping[str, Release]) -> Release:
    path = f'tool.packager.releases."{label}"'
    stated = _as_table(entry, path)
    _require_known_keys(stated, path, _PROJECT_KEYS)
    base = _base(label, stated, path, known)
    facts: dict[str, Any] = {
        name: _read(stated, key, path, reader)
        for key, (name, reader) in _PROJECT_FACTS.items()
        if key in stated
    }
    interpreters = base.interpreters
    if "interpreters" in stated:
        interpreters = _read_interpreters(stated, path, _stated_interpreter)
        facts["interpreters"] = interpreters
    sources = {**base.sources, **dict.fromkeys(facts, PROJECT_SOURCE)}
    python = facts.get("python", base.python)
    facts["interpreters"] = tuple(sorted(interpreters, key=lambda i: i.python != python))
    return dataclasses.replace(base, **facts, sources=sources)


def _base(
    label: str, stated: Mapping[str, Any], path: str, known: Mapping[str, Release]
) -> Release:
    """What the project's facts of a label are laid over."""
    if "like" in stated:
        model = known.get(_read(stated, "like", path, _label))
        if model is None:
            near = _nearest(stated["like"], known)
            raise _TableError(
                f"{path}.like must be a release that packager knows itself, not {stated['like']!r}",
                fix=f'did you mean "{near}"?' if near else _NAME_ONE,
            )
        return _like(model, label, known.get(label))
    if label in known:
        return known[label]
    missing = [key for key in ("spark", "python") if key not in stated]
    if missing:
        model_label = _nearest(label, known) or newest_labels(known)[0]
        raise _TableError(
            f"{path}.{missing[0]} is missing, and packager does not know {label}",
            fix=f'add `like = "{model_label}"` to take the rest from there; '
            f'if you meant that label, write [tool.packager.releases."{model_label}"]',
        )
    return Release(
        label=label,
        spark="",
        os=None,
        glibc=None,
        python="",
        interpreters=(),
        architectures=None,
        java=None,
        base_image=None,
        facts=dict.fromkeys(_OTHER_FACTS),
        sources=dict.fromkeys(FACT_NAMES, f"not stated in {PROJECT_SOURCE}"),
    )


def _like(model: Release, label: str, itself: Release | None) -> Release:
    """The facts of another release, taken over on the project's word."""
    source = f"{PROJECT_SOURCE}: like {model.label}"
    sources = dict.fromkeys(FACT_NAMES, source) | {
        name: itself.sources[name] if itself else f"not stated in {PROJECT_SOURCE}"
        for name in _OF_ONE_LABEL
    }
    return dataclasses.replace(
        model,
        label=label,
        interpreters=tuple(
            # Nobody has published that this label has them at the same path.
            dataclasses.replace(i, confirmed=False, source=source)
            for i in model.interpreters
        ),
        base_image=itself.base_image if itself else None,
        facts={
            name: (itself.facts[name] if itself else None) if name in _OF_ONE_LABEL else fact
            for name, fact in model.facts.items()
        },
        sources=sources,
    )


def _label(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("the label of a release, as text")
    return value


def _stated_interpreter(row: Mapping[str, Any], path: str) -> Interpreter:
    _require_known_keys(row, path, ("python", "path"))
    return Interpreter(
        python=_read(row, "python", path, _python),
        path=_read(row, "path", path, _absolute_path),
        confirmed=True,
        source=PROJECT_SOURCE,
    )


_NAME_ONE: Final = "`packager releases` lists them"


def find_release(label: str, releases: Mapping[str, Release]) -> Release:
    """Raise `ConfigError` for a label that is not among them; never take another instead."""
    if label in releases:
        return releases[label]
    newest = newest_labels(releases)
    near = _nearest(label, releases)
    add = (
        f'a label that packager does not know yet is added by [tool.packager.releases."{label}"] '
        f'with `like = "{_model(label, releases)}"`'
    )
    raise ConfigError(
        f"{label!r} is not a release that packager knows",
        why=f"the newest that it knows: {' and '.join(newest)}",
        fix=(f"did you mean {near}? If not: {add}" if near else f"{_NAME_ONE}; {add}"),
    )


def newest_labels(releases: Iterable[str]) -> tuple[str, ...]:
    """The newest label of each kind: of `emr-*` and of `emr-spark-*`."""
    return tuple({_kind(label): label for label in releases}.values())


def _kind(label: str) -> str:
    """`emr-` or `emr-spark-`: what stands before the version."""
    return re.split(r"\d", label, maxsplit=1)[0]


def _version(label: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", label))


def _model(label: str, releases: Mapping[str, Release]) -> str:
    """The newest release of a label's kind, or of the first kind if it is of none."""
    newest = {_kind(known): known for known in releases}
    return newest.get(_kind(label), next(iter(newest.values())))


def _nearest(label: str, releases: Mapping[str, Release]) -> str | None:
    """The label that was probably meant.

    A version says more than its spelling: emr-7.15.0 is nearer to 7.14.0 than to 7.5.0, and
    emr-8.1.0 is emr-spark-8.1.0.
    """
    version = _version(label)
    # `emr-7.13` means 7.13.0.
    same = [k for k in releases if version and _version(k) in {version, (*version, 0)}]
    if same:
        return difflib.get_close_matches(label, same, n=1, cutoff=0)[0]
    older = [k for k in releases if _kind(k) == _kind(label) and _version(k) < version]
    if older and len(version) > 1:
        return older[-1]
    return next(iter(difflib.get_close_matches(label, list(releases), n=1)), None)


def releases_table(releases: Mapping[str, Release]) -> str:
    """One aligned line for each release, under a line of headings."""
    rows = [("label", "spark", "python", "glibc", "os", "java", "architectures")]
    rows += [
        (
            release.label,
            release.spark,
            release.python,
            _shown(_glibc_text(release)),
            _shown(release.os),
            _shown(release.java),
            _shown(release.architectures),
        )
        for release in releases.values()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def release_sheet(release: Release) -> str:
    """Every fact of one release, each with the number of its source, and the sources below."""
    numbers = {
        source: number
        for number, source in enumerate(dict.fromkeys(source for *_, source in _rows(release)), 1)
    }
    width = max(map(len, FACT_NAMES))
    lines = [release.label, ""]
    name = ""
    for fact, value, source in _rows(release):
        heading = "" if fact == name else fact
        name = fact
        lines.append(f"  {heading.ljust(width)}  {value}  [{numbers[source]}]")
    lines += ["", "sources"]
    lines += [f"  {f'[{number}]':5} {source}" for source, number in numbers.items()]
    titles = _cited_titles(numbers)
    if titles:
        lines += ["", f"as of {_document()['checked']}, where"]
        lines += [f"  {key.ljust(max(map(len, titles)))}  {titles[key]}" for key in titles]
    return "".join(f"{line}\n" for line in lines)


def shown_facts(release: Release) -> Mapping[str, str]:
    """Every fact by its name, as people read it; of several values, joined."""
    facts: dict[str, str] = {}
    for name, value, _ in _rows(release):
        facts[name] = f"{facts[name]}, {value}" if name in facts else value
    return facts


def _rows(release: Release) -> list[tuple[str, str, str]]:
    """Fact, value and source; a fact of several long values has several rows."""
    rows = []
    for name in FACT_NAMES:
        source = release.sources[name]
        if name == "interpreters" and release.interpreters:
            rows += [(name, _interpreter_text(i), i.source) for i in release.interpreters]
        elif name == "interpreters":
            rows.append((name, "none known", source))
        else:
            value = _glibc_text(release) if name == "glibc" else _fact(release, name)
            rows += [(name, text, source) for text in _split(value)]
    return rows


def _fact(release: Release, name: str) -> Fact:
    if name in _OTHER_FACTS:
        return release.facts[name]
    value: Fact = getattr(release, name)
    return value


def _split(value: Fact) -> list[str]:
    """Paths stand one below the other, short words side by side."""
    if isinstance(value, tuple) and any("/" in item for item in value):
        return list(value)
    return [_shown(value)]


def _shown(value: Fact) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    return (value if isinstance(value, str) else ", ".join(value)) or "none"


def _glibc_text(release: Release) -> str | None:
    return ".".join(map(str, release.glibc)) if release.glibc else None


def _interpreter_text(interpreter: Interpreter) -> str:
    doubt = "" if interpreter.confirmed else ", unconfirmed"
    return f"{interpreter.python} at {interpreter.path}{doubt}"


def _cited_titles(sources: Iterable[str]) -> dict[str, str]:
    """What the keys in these sources stand for, in the order of the table."""
    words = {word for source in sources for word in re.findall(r"[A-Z][A-Za-z0-9-]*", source)}
    return {key: title for key, title in _document()["sources"].items() if key in words}


def release_json(release: Release) -> dict[str, Any]:
    """The release as plain JSON: `null` where a fact is not known, lists for tuples."""
    document = dataclasses.asdict(release)
    document["glibc"] = _glibc_text(release)
    document["interpreters"] = [dataclasses.asdict(i) for i in release.interpreters]
    document["architectures"] = _plain(release.architectures)
    document["facts"] = {name: _plain(fact) for name, fact in release.facts.items()}
    return document


def _plain(value: Fact) -> str | bool | int | list[str] | None:
    return list(value) if isinstance(value, tuple) else value
