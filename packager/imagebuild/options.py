"""`[tool.packager.image]`: what an image has besides the project. It looks which files are there.

[tool.packager.image]
env = { APP_MODE = "prod" }
labels = { team = "data" }
files = { "conf/log4j2.properties" = "/etc/spark/conf/log4j2.properties" }
jars = ["libs/postgresql-42.7.4.jar"]
packages = ["libgomp"]
commands = ["useradd x"]
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
from packager.record import Record
from packager.tarball import FILE_MODE, Content

KEYS: Final = ("env", "labels", "files", "jars", "packages", "commands")
JARS: Final = "/usr/lib/spark/jars"
PYSPARK_LINE: Final = "packager-pyspark.pth"
PYSPARK: Final = (
    b"/usr/lib/spark/python\n"
    b"import glob, sys; sys.path.extend(glob.glob('/usr/lib/spark/python/lib/py4j-*-src.zip'))\n"
)
"""Leads an interpreter of its own to EMR's PySpark, for who starts it without spark-submit."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PACKAGE: Final = re.compile(r"[A-Za-z0-9/][A-Za-z0-9@._+:=~/-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """Resolved; paths are absolute."""

    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    """Jars included; paths in the image are without the slash in front."""
    packages: tuple[str, ...] = ()
    """Of the base's system, which only its own package manager can install."""
    commands: tuple[str, ...] = ()
    """Of the shell, run as root in the image."""

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


def image_options(table: Mapping[str, Any], root: Path) -> ImageOptions:
    """Raise `ConfigError` for keys and values that nobody knows, naming them."""
    for key in table:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            raise _wrong(
                f"[tool.packager.image] has no key {key!r}",
                fix=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(KEYS)}",
            )
    env = _texts_by_name(table, "env")
    for name, value in env.items():
        if not _NAME.fullmatch(name) or "\n" in value:
            raise _wrong(f"`env` of [tool.packager.image]: {name!r} is no name of a variable")
    files = [
        _file(root, source, place, "files")
        for source, place in _texts_by_name(table, "files").items()
    ]
    files += [_jar(root, jar) for jar in _texts(table, "jars")]
    places = [file.path for file in files]
    for place in places:
        if places.count(place) > 1:
            raise _wrong(f"/{place} of the image has two files", fix="keep one of them")
    packages = _texts(table, "packages")
    for package in packages:
        if not _PACKAGE.fullmatch(package):
            raise _wrong(f"`packages` of [tool.packager.image]: {package!r} is no package")
    return ImageOptions(
        env=env,
        labels=_texts_by_name(table, "labels"),
        files=tuple(files),
        packages=packages,
        commands=_texts(table, "commands"),
    )


def _file(root: Path, source: str, place: str, key: str) -> File:
    path = root / source
    if not path.is_file():
        raise _wrong(
            f"`{key}` of [tool.packager.image]: there is no file {path}",
            fix="name files relative to the project; a folder's are named one by one",
        )
    if not place.startswith("/") or posixpath.normpath(place) != place or place == "/":
        raise _wrong(
            f"`{key}` of [tool.packager.image]: {place!r} is no place for {source}",
            fix="write the whole path of the file in the image",
        )
    if place.startswith("/opt/packager/"):
        raise _wrong(
            f"`{key}` of [tool.packager.image]: {place} is where packager has its own files",
            fix="choose another place",
        )
    return File(path=place.lstrip("/"), source=path)


def _jar(root: Path, jar: str) -> File:
    if not jar.endswith(".jar"):
        raise _wrong(
            f"`jars` of [tool.packager.image]: {jar!r} is no file that ends in .jar",
            fix="download it, and name it relative to the project",
        )
    return _file(root, jar, f"{JARS}/{posixpath.basename(jar)}", "jars")


def _texts_by_name(table: Mapping[str, Any], key: str) -> Mapping[str, str]:
    value = table.get(key, {})
    if not isinstance(value, Mapping) or not all(
        isinstance(item, str) and "\0" not in item for item in value.values()
    ):
        raise _wrong(f"`{key}` of [tool.packager.image] is not a table of texts")
    return dict(value)


def _texts(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, ())
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence)
        or not all(isinstance(item, str) and item.strip() and "\0" not in item for item in value)
    ):
        raise _wrong(f"`{key}` of [tool.packager.image] is not a list of texts")
    return tuple(value)


def _wrong(what: str, fix: str = "correct it") -> ConfigError:
    return ConfigError(what, fix=fix)
