"""Option resolution: flag, then environment, then pyproject.toml, then default. Nowhere else."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

from packager.errors import ConfigError
from packager.releases import Release, find_release, known_releases, with_additions
from packager.target import ARCHES, Target, parse_arch

Origin = Literal["flag", "environment", "pyproject.toml", "default"]
Layout = Literal["layers", "single"]
LAYOUTS: Final[tuple[Layout, ...]] = ("layers", "single")
Slim = Literal["tests", "headers", "stubs", "symbols"]
SLIMS: Final[tuple[Slim, ...]] = ("tests", "headers", "stubs", "symbols")
NO_LIMIT: Final = "none"
BuilderName = Literal["auto", "wheels", "docker"]
BUILDERS: Final[tuple[BuilderName, ...]] = ("auto", "wheels", "docker")
CleanRoomMode = Literal["auto", "require", "off"]
CLEAN_ROOM_MODES: Final[tuple[CleanRoomMode, ...]] = ("auto", "require", "off")
Encryption = Literal["AES256", "aws:kms"]
ENCRYPTIONS: Final[tuple[Encryption, ...]] = ("AES256", "aws:kms")
STORAGE_CLASSES: Final = (
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
)
"""Those that a job can read from at once."""
MOST_TAGS: Final = 10
"""Of an object. S3 User Guide, "Categorizing your objects using tags"; so are the lengths."""
TABLES: Final = ("conf", "image", "ecr", "releases", "waivers", "run", "application")
"""Keys of [tool.packager] that are tables: Spark properties, what custom images have besides,
how repositories are made, releases, reasons by check, and what runs and applications of EMR
Serverless are to be."""


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("a text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    parts = value
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(parts, Sequence) and all(
        isinstance(p, str) and p and "\0" not in p for p in parts
    ):
        return tuple(parts)
    raise ValueError("a list of texts")


def _arches(value: object) -> tuple[str, ...]:
    names = _texts(value)
    if not names:  # to build for none would be to do nothing and call it done
        raise ValueError(f"{', '.join(ARCHES)} or all")
    return names


def _choice(*known: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if isinstance(value, str) and value in known:
            return value
        near = difflib.get_close_matches(str(value), known, n=1)
        perhaps = f" (perhaps {near[0]!r})" if near else ""
        raise ValueError(f"one of {', '.join(known)}{perhaps}")

    return parse


def _system_packages(value: object) -> tuple[str, ...]:
    names = _texts(value)
    # They become words of a command in the build.
    if not all(re.fullmatch(r"[A-Za-z0-9/][A-Za-z0-9@._+:=~/-]*", name) for name in names):
        raise ValueError("names of packages, as in gcc and libffi-devel")
    return names


def _slim(value: object) -> tuple[Slim, ...]:
    names = _texts(value)
    for name in names:
        if name not in SLIMS:
            near = difflib.get_close_matches(name, SLIMS, n=1)
            hint = f" (perhaps {near[0]!r})" if near else ""
            raise ValueError(f"any of {', '.join(SLIMS)}{hint}")
    return tuple(name for name in SLIMS if name in names)


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "0": False, "false": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError("true or false")


def _name(value: object) -> str:
    text = _text(value)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", text):
        raise ValueError("a name, as in eu-west-1")
    return text


def _account(value: object) -> str:
    text = str(value) if isinstance(value, int | str) else ""
    if not re.fullmatch(r"\d{12}", text):
        raise ValueError("the twelve digits of an account, in quotes")
    return text


def _tags(value: object) -> tuple[str, ...]:
    tags = _texts(value)
    keys = {tag.partition("=")[0] for tag in tags}
    if len(keys) < len(tags) or len(tags) > MOST_TAGS:
        raise ValueError(f"at most {MOST_TAGS} tags, each key once")
    if not all(re.fullmatch(r"[\w .:/+@-]{1,128}=[\w .:/+=@-]{0,256}", tag) for tag in tags):
        raise ValueError("tags as in team=data")
    return tags


def _seconds(value: object) -> int:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not text.isdecimal() or not 0 < int(text) < 1_000_000:
        raise ValueError("a whole number of seconds, at least 1")
    return int(text)


def _python(value: object) -> str:
    parts = value.split(".") if isinstance(value, str) else ()
    if len(parts) == 2 and all(part.isdecimal() for part in parts):
        return f"{int(parts[0])}.{int(parts[1])}"
    raise ValueError('a minor version in quotes, as in "3.11"')


def _s3_uri(value: object) -> str:
    text = _text(value)
    bucket, _, _ = text.removeprefix("s3://").partition("/")
    if not text.startswith("s3://") or not bucket or any(c.isspace() or c in "#,'\"" for c in text):
        raise ValueError("an S3 location without blanks, as in s3://bucket/prefix")
    return text.rstrip("/")


def _image(value: object) -> str:
    text = _text(value)
    # Docker's own grammar is longer; this tells what is surely none.
    if not re.fullmatch(r"[A-Za-z0-9][\w./:@-]*", text) or text.endswith(("/", ":", "@")):
        raise ValueError("a reference of an image, as in registry.example/team/spark:7.13.0")
    return text


def parse_size(text: str) -> int:
    """Bytes of a size as people write it: `500MB`, `1.5 GB`. Raise `ConfigError` for others."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)i?B?", text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is not a size", fix="write it as in 500MB or 5GB")
    return int(float(match[1]) * 1000 ** " kMGT".index(match[2] or " "))


def _limit(value: object) -> str:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    try:
        if text != NO_LIMIT:
            parse_size(text)
    except ConfigError:
        raise ValueError(f"a size as in 500MB or 5GB, or {NO_LIMIT}") from None
    return text


def _option(
    help_: str,
    parse: Callable[[object], Any] = _text,
    default: Any = None,
    *,
    flag: str | None = None,
) -> Any:
    """`flag` is its name on the command line, where that is another than the setting's."""
    return field(default=default, metadata={"help": help_, "parse": parse, "flag": flag})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every option, resolved. Field `x_y` is flag `--x-y`, variable `PACKAGER_X_Y`, key `x-y`."""

    release: str | None = _option("EMR release label, e.g. emr-7.13.0.")
    arch: tuple[str, ...] = _option(
        "Architecture: amd64, arm64, or `all`.", _arches, default=("amd64",)
    )
    python: str | None = _option("Python minor version, bundled if not the release's own.", _python)
    layout: Layout = _option("`layers` or `single`.", _choice(*LAYOUTS), default="layers")
    entry_point: tuple[str, ...] = _option(
        "What starts a job: a script of the project or `module:function`; one or several.",
        _texts,
        default=(),
    )
    extras: tuple[str, ...] = _option(
        "Extras of the project to install.", _texts, default=(), flag="--extra"
    )
    groups: tuple[str, ...] = _option(
        "Dependency groups to install.", _texts, default=(), flag="--group"
    )
    test_groups: tuple[str, ...] = _option(
        "Dependency groups that only the project's tests need, for `packager test`.",
        _texts,
        default=(),
    )
    test_extras: tuple[str, ...] = _option("Extras that only its tests need.", _texts, default=())
    locked: bool = _option(
        "Refuse a project whose dependencies no lock pins.", _boolean, default=False
    )
    venv: str | None = _option(
        "Virtual environment to pack as it is, instead of what locks and requirements name."
    )
    builder: BuilderName = _option(
        "`wheels`, `docker`, or `auto`: Docker for what has no wheel.",
        _choice(*BUILDERS),
        default="auto",
    )
    build_packages: tuple[str, ...] = _option(
        "Packages of the base image's system to compile with.",
        _system_packages,
        default=(),
        flag="--build-package",
    )
    dockerfile: str | None = _option("Dockerfile to build with, relative to the project.")
    no_cache: bool = _option("Take nothing from earlier Docker builds.", _boolean, default=False)
    offline: bool = _option(
        "Open no connection: what is needed is in the store, or told.", _boolean, default=False
    )
    exclude: tuple[str, ...] = _option(
        "Patterns of files that a folder's app leaves out.", _texts, default=()
    )
    slim: tuple[Slim, ...] = _option(
        "What packages do without: `tests`, `headers`, `stubs`, `symbols`.", _slim, default=()
    )
    byte_code: bool = _option(
        "Pack byte code too, made by this machine's Python of the same minor version.",
        _boolean,
        default=False,
    )
    base_image: str | None = _option(
        "Image to build and try archives in; the release's own if not given.", _image
    )
    clean_room: CleanRoomMode = _option(
        "Try archives out in the base image: `auto` where it is at hand, `require`, or `off`.",
        _choice(*CLEAN_ROOM_MODES),
        default="auto",
    )
    out: str = _option("Folder for the archives, relative to the project.", default="dist")
    s3_uri: str | None = _option("Where the artifacts will be published.", _s3_uri)
    bucket_owner: str | None = _option(
        "Number of the account that the bucket must be of.", _account
    )
    encryption: Encryption | None = _option(
        "How objects are encrypted, `AES256` or `aws:kms`; else as the bucket is set up.",
        _choice(*ENCRYPTIONS),
    )
    kms_key: str | None = _option("Key of KMS to encrypt objects with: id, ARN or alias.")
    storage_class: str | None = _option("Storage class of objects.", _choice(*STORAGE_CLASSES))
    s3_tags: tuple[str, ...] = _option(
        "Tags of objects, as KEY=VALUE.", _tags, default=(), flag="--tag"
    )
    region: str | None = _option("AWS Region; else that of the environment or the profile.", _name)
    profile: str | None = _option("Profile of the AWS command line to take credentials from.")
    path_style: bool = _option(
        "Ask for buckets by path, as servers that only resemble S3 need it.",
        _boolean,
        default=False,
    )
    aws_timeout: int = _option(
        "Seconds without an answer from AWS before it is asked again.", _seconds, default=60
    )
    presets: tuple[str, ...] = _option(
        "Ready-made Spark properties, e.g. `delta`; `packager conf --list-presets`.",
        _texts,
        default=(),
    )
    prices: str | None = _option("Table of prices for `packager cost`, relative to the project.")
    cache_dir: str | None = _option("Folder of the wheel store.")
    cache_size: str = _option(
        "What the wheel store may take; what was not used for longest goes. Or `none`.",
        _limit,
        default="10GB",
    )
    conf: Mapping[str, str] = field(default_factory=dict)
    ecr: Mapping[str, Any] = field(default_factory=dict)
    """As `publishing.repositories` reads it."""
    releases: Mapping[str, Release] = field(default_factory=known_releases, compare=False)
    waivers: Mapping[str, str] = field(default_factory=dict)
    """Reasons by code of the check."""
    run: Mapping[str, Any] = field(default_factory=dict)
    """As it is written; `packager.jobs.request` reads it."""
    application: Mapping[str, Any] = field(default_factory=dict)
    """As it is written; `packager.jobs.wanted` reads it."""
    image: Mapping[str, Any] = field(default_factory=dict)
    """As it is written; `imagebuild.options` reads it."""
    origins: Mapping[str, Origin] = field(default_factory=dict, compare=False)

    @property
    def cache_limit(self) -> int | None:
        """Bytes that the wheel store may take; None for as many as there are."""
        return (None if self.cache_size == NO_LIMIT else parse_size(self.cache_size)) or None

    def targets(self) -> tuple[Target, ...]:
        """The release on each architecture. Raise `ConfigError` for what can not be."""
        if self.release is None:
            raise ConfigError(
                "no EMR release is given",
                why="what to build depends on it: Python, C library, Spark",
                fix='add release = "emr-7.13.0" to [tool.packager] in pyproject.toml,'
                " or use --release",
            )
        release = find_release(self.release, self.releases)
        names = tuple(ARCHES) if "all" in self.arch else self.arch
        known = release.architectures
        targets = tuple(
            Target(release=release, arch=parse_arch(name), python=self.python or release.python)
            for name in dict.fromkeys(names)
        )
        for target in targets:
            if known is not None and target.arch.name not in known:
                raise ConfigError(
                    f"{release.label} does not run on {target.arch.name}",
                    why=f"it runs on {', '.join(known)}",
                    fix="choose a newer release, or --arch " + known[0],
                )
        return targets

    def image_for(self, target: Target) -> str:
        """Reference of the base image. Raise `ConfigError` where the release has none known."""
        if self.base_image is not None:
            return self.base_image
        release = target.release
        if not release.base_image:
            raise ConfigError(
                f"the image of {release.label} is not known",
                why="AWS has not published its address"
                if release.base_image is None
                else "the release takes no images",
                fix="name one with --base-image",
            )
        return f"{release.base_image}:latest"


OPTIONS: Final = tuple(f for f in fields(Settings) if "parse" in f.metadata)


def resolve(
    flags: Mapping[str, Any], env: Mapping[str, str], table: Mapping[str, Any], where: Path | None
) -> Settings:
    """Merge the sources; `table` is [tool.packager], found in the file `where`.

    Raise `ConfigError` for a key no option has and for a value an option does not take.
    """
    keys = {option.name.replace("_", "-"): option for option in OPTIONS}
    file = where or Path("pyproject.toml")
    for key in table:
        if key not in keys and key not in TABLES:
            raise ConfigError(
                f"{file}: [tool.packager] has no key {key!r}",
                fix=_nearest(key, (*keys, *TABLES)),
            )
    variables = {f"PACKAGER_{option.name.upper()}" for option in OPTIONS}
    for name in env:
        if name.startswith("PACKAGER_") and name not in variables | OTHER_VARIABLES:
            raise ConfigError(
                f"the environment variable {name} is not one of packager's",
                fix=_nearest(name, sorted(variables)),
            )
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for key, option in keys.items():
        variable = f"PACKAGER_{option.name.upper()}"
        sources: tuple[tuple[Origin, Any, str], ...] = (
            ("flag", flags.get(option.name), option.metadata["flag"] or f"--{key}"),
            ("environment", env.get(variable) or None, variable),
            ("pyproject.toml", table.get(key), f"`{key}` of [tool.packager] in {file}"),
        )
        origins[option.name] = "default"
        for origin, value, name in sources:
            if value is None:
                continue
            try:
                values[option.name] = option.metadata["parse"](value)
            except ValueError as error:
                raise ConfigError(
                    f"{name}: {value!r} is not a value it takes",
                    why=f"it takes {error}",
                    fix="correct it",
                ) from None
            origins[option.name] = origin
            break
    return Settings(
        **values,
        conf=_conf(table.get("conf", {}), file) | dict(flags.get("conf") or {}),
        ecr=_table(table, "ecr", file),
        releases=with_additions(_table(table, "releases", file)),
        waivers=_waivers(_table(table, "waivers", file), flags.get("waivers") or {}, file),
        run=_table(table, "run", file),
        application=_table(table, "application", file),
        image=_table(table, "image", file),
        origins=origins,
    )


OTHER_VARIABLES: Final = frozenset({"PACKAGER_DEBUG"})
"""Read elsewhere, by the command line itself."""


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def _table(table: Mapping[str, Any], key: str, file: Path) -> Mapping[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{file}: `tool.packager.{key}` is not a table", fix=f"write [tool.packager.{key}]"
        )
    return value


def _waivers(table: Mapping[str, Any], flags: Mapping[str, str], file: Path) -> Mapping[str, str]:
    if not table and not flags:
        return {}
    from packager.checks.rules import require_waivable  # most commands have no use for the checks

    in_file = f"{file}: [tool.packager.waivers]"
    return {
        **{code: require_waivable(code, reason, in_file) for code, reason in table.items()},
        **{code: require_waivable(code, reason, "--waive") for code, reason in flags.items()},
    }


def _conf(value: object, file: Path) -> dict[str, str]:
    """[tool.packager.conf]: flat keys, with numbers and booleans as Spark writes them."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{file}: `tool.packager.conf` is not a table")
    conf: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(item, bool):
            conf[key] = str(item).lower()
        elif isinstance(item, str | int | float):
            conf[key] = str(item)
        else:
            raise ConfigError(
                f"{file}: tool.packager.conf.{key} is not a text, a number or a boolean",
                why="a key with dots that is not in quotes becomes a table"
                if isinstance(item, Mapping)
                else "",
                fix=f'put the whole key in quotes: "{key}..." = "..."',
            )
    return conf
