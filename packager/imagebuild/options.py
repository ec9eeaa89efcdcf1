"""`[tool.packager.image]`: what an image has besides the project. It looks which files are there.

[tool.packager.image]
env = { APP_MODE = "prod" }
labels = { team = "data" }
files = { "conf/log4j2.properties" = "/etc/spark/conf/log4j2.properties" }
jars = ["libs/own.jar", { maven = "org.postgresql:postgresql:42.7.4", sha256 = "1885…" }]
maven-repository = "https://maven.example/releases"
packages = ["libgomp"]
commands = ["install -d /var/opt/models"]
java = "/usr/lib/jvm/java-21-amazon-corretto.{machine}"

[tool.packager.image.executor]        # what executors have besides; then there are two images
packages = ["libgomp"]
"""

import difflib
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from packager.errors import ConfigError
from packager.layers import File
from packager.record import ImageRole, Record
from packager.tarball import FILE_MODE, Content

KEYS: Final = (
    "env",
    "labels",
    "files",
    "jars",
    "maven-repository",
    "packages",
    "commands",
    "java",
)
ROLES: Final[tuple[ImageRole, ...]] = ("driver", "executor")
TABLE: Final = "[tool.packager.image]"
JARS: Final = "/usr/lib/spark/jars"
PYSPARK_LINE: Final = "packager-pyspark.pth"
PYSPARK: Final = (
    b"/usr/lib/spark/python\n"
    b"import glob, sys; sys.path.extend(glob.glob('/usr/lib/spark/python/lib/py4j-*-src.zip'))\n"
)
"""Leads an interpreter of its own to EMR's PySpark, for who starts it without spark-submit."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PACKAGE: Final = re.compile(r"[A-Za-z0-9/][A-Za-z0-9@._+:=~/-]*")
_COORDINATES: Final = re.compile(r"([\w.-]+):([\w.-]+):([\w.-]+)(?::([\w.-]+))?", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MavenJar:
    """A jar of a Maven repository."""

    coordinates: str
    """As in the project: `group:artifact:version`, and a classifier behind them."""
    url: str
    sha256: str

    @property
    def filename(self) -> str:
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """Resolved; paths are absolute."""

    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    """Jars of the project included; paths in the image are without the slash in front."""
    maven: tuple[MavenJar, ...] = ()
    packages: tuple[str, ...] = ()
    """Of the base's system, which only its own package manager can install."""
    commands: tuple[str, ...] = ()
    """Of the shell, run as root in the image."""
    java: str = ""
    """Home of the JDK that jobs run on, by properties of Spark; empty for the image's own."""

    @property
    def runs(self) -> bool:
        """Whether something has to run in the image, for which an engine is needed."""
        return bool(self.packages or self.commands)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """Files besides the archives."""

    members: tuple[Content, ...]
    files: tuple[File, ...]


def extra_members(record: Record, options: ImageOptions) -> Extra:
    site = f"opt/packager/environment/lib/python{record.python}/site-packages"
    own = Content(path=f"{site}/{PYSPARK_LINE}", mode=FILE_MODE, data=PYSPARK)
    return Extra(members=(own,), files=tuple(sorted(options.files, key=lambda file: file.path)))


def image_roles(table: Mapping[str, Any]) -> tuple[ImageRole, ...]:
    """Whose images there are: one for both, or one for each."""
    return ROLES if any(role in table for role in ROLES) else ("",)


def image_options(
    table: Mapping[str, Any], root: Path, *, role: ImageRole = "", machine: str = ""
) -> ImageOptions:
    """What the image of a role has, which is what all have and what its own table adds.

    `machine` is the architecture as the kernel calls it, for `{machine}` in paths. Raise
    `ConfigError` for keys and values that nobody knows, naming them.
    """
    own = table.get(role, {}) if role else {}
    if not isinstance(own, Mapping):
        raise _wrong(f"`{role}` of {TABLE} is not a table")
    _require_known(table, (*KEYS, *ROLES), TABLE)
    _require_known(own, KEYS, f"[tool.packager.image.{role}]")
    env = {**_texts_by_name(table, "env"), **_texts_by_name(own, "env")}
    for name, value in env.items():
        if not _NAME.fullmatch(name) or "\n" in value:
            raise _wrong(f"`env` of {TABLE}: {name!r} is no name of a variable")
    named = {**_texts_by_name(table, "files"), **_texts_by_name(own, "files")}
    files = [_file(root, source, place, "files") for source, place in named.items()]
    jars = (*_list(table, "jars"), *_list(own, "jars"))
    files += [_jar(root, jar) for jar in jars if isinstance(jar, str)]
    repository = _text(own, "maven-repository") or _text(table, "maven-repository")
    maven = tuple(_maven(jar, repository) for jar in jars if not isinstance(jar, str))
    places = [file.path for file in files]
    places += [f"{JARS.lstrip('/')}/{jar.filename}" for jar in maven]
    for place in places:
        if places.count(place) > 1:
            raise _wrong(f"/{place} of the image has two files", fix="keep one of them")
    packages = (*_texts(table, "packages"), *_texts(own, "packages"))
    for package in packages:
        if not _PACKAGE.fullmatch(package):
            raise _wrong(f"`packages` of {TABLE}: {package!r} is no package")
    commands = (*_texts(table, "commands"), *_texts(own, "commands"))
    for command in commands:
        first, *more = command.strip().splitlines()
        if more:
            raise _wrong(
                f"`commands` of {TABLE}: {first!r} is not all of its line",
                fix="make a command of each line, or join them: a && b",
            )
    return ImageOptions(
        env=env,
        labels={**_texts_by_name(table, "labels"), **_texts_by_name(own, "labels")},
        files=tuple(files),
        maven=maven,
        packages=packages,
        commands=commands,
        java=_java(_text(own, "java") or _text(table, "java"), machine),
    )


def _require_known(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise _wrong(
                f"{where} has no key {key!r}",
                fix=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}",
            )


def _java(home: str, machine: str) -> str:
    place = home.replace("{machine}", machine)
    if place and (not place.startswith("/") or "{" in place or any(c.isspace() for c in place)):
        raise _wrong(
            f"`java` of {TABLE}: {home!r} is no folder",
            fix="write the whole path of a JDK's home in the image; {machine} in it becomes x86_64"
            " or aarch64",
        )
    return place


def _maven(jar: object, repository: str) -> MavenJar:
    if not isinstance(jar, Mapping) or jar.keys() != {"maven", "sha256"}:
        raise _wrong(
            f"`jars` of {TABLE}: {jar!r} is no jar",
            fix='write "libs/own.jar", or { maven = "GROUP:ARTIFACT:VERSION", sha256 = "…" }',
        )
    found = _COORDINATES.fullmatch(str(jar["maven"]))
    if found is None:
        raise _wrong(
            f"`jars` of {TABLE}: {jar['maven']!r} are no coordinates of Maven",
            fix="write GROUP:ARTIFACT:VERSION, with :CLASSIFIER behind it where there is one",
        )
    sha256 = str(jar["sha256"]).lower()
    if not _SHA256.fullmatch(sha256):
        raise _wrong(
            f"`jars` of {TABLE}: {jar['maven']} has no SHA-256",
            fix="write the 64 digits of the jar that you have tested: sha256sum FILE",
        )
    if not repository.startswith(("https://", "http://")):
        raise _wrong(
            f"`jars` of {TABLE}: nobody says where {jar['maven']} comes from",
            fix='name a repository of Maven: maven-repository = "https://…"',
        )
    group, artifact, version, classifier = found.groups()
    name = "-".join(filter(None, (artifact, version, classifier)))
    folder = f"{group.replace('.', '/')}/{artifact}/{version}"
    return MavenJar(
        coordinates=found[0],
        url=f"{repository.rstrip('/')}/{folder}/{name}.jar",
        sha256=sha256,
    )


def _file(root: Path, source: str, place: str, key: str) -> File:
    path = root / source
    if not path.is_file():
        raise _wrong(
            f"`{key}` of {TABLE}: there is no file {path}",
            fix="name files relative to the project; a folder's are named one by one",
        )
    if not place.startswith("/") or posixpath.normpath(place) != place or place == "/":
        raise _wrong(
            f"`{key}` of {TABLE}: {place!r} is no place for {source}",
            fix="write the whole path of the file in the image",
        )
    if place.startswith("/opt/packager/"):
        raise _wrong(
            f"`{key}` of {TABLE}: {place} is where packager has its own files",
            fix="choose another place",
        )
    return File(path=place.lstrip("/"), source=path)


def _jar(root: Path, jar: str) -> File:
    if not jar.endswith(".jar"):
        raise _wrong(
            f"`jars` of {TABLE}: {jar!r} is no file that ends in .jar",
            fix="download it, and name it relative to the project",
        )
    return _file(root, jar, f"{JARS}/{posixpath.basename(jar)}", "jars")


def _texts_by_name(table: Mapping[str, Any], key: str) -> Mapping[str, str]:
    value = table.get(key, {})
    if not isinstance(value, Mapping) or not all(
        isinstance(item, str) and "\0" not in item for item in value.values()
    ):
        raise _wrong(f"`{key}` of {TABLE} is not a table of texts")
    return dict(value)


def _texts(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = _list(table, key)
    if not all(isinstance(item, str) and item.strip() and "\0" not in item for item in value):
        raise _wrong(f"`{key}` of {TABLE} is not a list of texts")
    return value


def _list(table: Mapping[str, Any], key: str) -> tuple[Any, ...]:
    value = table.get(key, ())
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _wrong(f"`{key}` of {TABLE} is not a list")
    return tuple(value)


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str) or "\0" in value:
        raise _wrong(f"`{key}` of {TABLE} is not a text")
    return value


def _wrong(what: str, fix: str = "correct it") -> ConfigError:
    return ConfigError(what, fix=fix)
