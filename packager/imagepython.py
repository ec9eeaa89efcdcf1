"""The Python that jobs start in an image, where it looks for packages, and what it finds. Pure."""

import posixpath
import re
from collections.abc import Iterator
from typing import NamedTuple

from packaging.metadata import parse_email

from packager.facts import Distribution
from packager.images import ImageFacts
from packager.layertree import Node, Tree


class Python(NamedTuple):
    """An interpreter in an image."""

    asked: str
    """As the job names it."""
    path: str
    """Where it really is, without the slash in front."""
    node: Node
    version: str | None
    """Minor version, where names tell it."""
    environment: str | None
    """The virtual environment that it is started in."""
    sees_system: bool
    """Whether it finds the packages of its system as well."""


def find_python(facts: ImageFacts, asked: str) -> Python | None:
    """The program that `asked` starts in the image; None where there is none."""
    folders = [posixpath.dirname(asked)]
    if "/" not in asked:
        folders = (facts.config.variable("PATH") or "/usr/bin:/bin").split(":")
    if not asked.startswith("/") and "/" in asked:
        folders = [posixpath.join(facts.config.workdir or "/", folders[0])]
    name = posixpath.basename(asked)
    for folder in folders:
        path = facts.tree.find(f"{folder}/{name}")
        node = facts.tree.nodes.get(path) if path else None
        if path is not None and node is not None:
            # As CPython: beside the name it was started by, or a directory above.
            above = facts.tree.find(posixpath.dirname(folder)) or ""
            settings = _settings(facts.tree, above)
            return Python(
                asked=asked,
                path=path,
                node=node,
                version=_named_version(settings) or _version(facts.tree, path),
                environment=above if settings else None,
                sees_system=not settings
                or settings.get("include-system-site-packages", "").lower() == "true",
            )
    return None


def _settings(tree: Tree, folder: str) -> dict[str, str]:
    """Of a virtual environment."""
    text = tree.texts.get(f"{folder}/pyvenv.cfg", b"").decode("utf-8", "replace")
    rows = (line.partition("=") for line in text.splitlines())
    return {name.strip().lower(): value.strip() for name, equals, value in rows if equals}


def _named_version(settings: dict[str, str]) -> str | None:
    named = settings.get("version") or settings.get("version_info") or ""
    found = re.match(r"\d+\.\d+", named)
    return found[0] if found else None


def _version(tree: Tree, path: str) -> str | None:
    named = re.search(r"/python(\d+\.\d+)$", f"/{path}")
    if named:
        return named[1]
    prefix = posixpath.dirname(posixpath.dirname(path))
    found = {
        match[1]
        for name in tree.names(f"{prefix}/lib")
        if (match := re.fullmatch(r"python(\d+\.\d+)", name))
    }
    return found.pop() if len(found) == 1 else None


def site_folders(facts: ImageFacts, python: Python) -> tuple[str, ...]:
    """Where that interpreter looks for packages, what `.pth` files and PYTHONPATH add included.

    Real paths, in no order that counts. Empty where its version is not known.
    """
    if python.version is None:
        return ()
    prefix = posixpath.dirname(posixpath.dirname(python.path))
    roots = [] if python.environment is None else [python.environment]
    if python.sees_system:
        roots += ["usr/local", "usr"] if prefix == "usr" else [prefix]
    named = [
        f"{root}/{lib}/python{python.version}/{site}"
        for root in roots
        for lib in ("lib", "lib64")
        for site in ("site-packages", "dist-packages")
    ]
    if python.sees_system and prefix == "usr":
        named.append("usr/lib/python3/dist-packages")  # Debian's own
    sites = [found for folder in named if (found := facts.tree.find(folder))]
    linked = [path for site in sites for path in _linked(facts.tree, site)]
    own = (facts.config.variable("PYTHONPATH") or "").split(":")
    added = (facts.tree.find(path) for path in (*linked, *filter(None, own)))
    return tuple(dict.fromkeys((*sites, *filter(None, added))))


def _linked(tree: Tree, site: str) -> Iterator[str]:
    for name in tree.names(site):
        text = tree.texts.get(f"{site}/{name}", b"") if name.endswith(".pth") else b""
        for line in text.decode("utf-8", "replace").splitlines():
            if line.strip() and not line.startswith(("#", "import ", "import\t")):
                yield posixpath.normpath(posixpath.join(f"/{site}", line.strip()))


class Installed(NamedTuple):
    """A distribution that an interpreter sees."""

    distribution: Distribution
    layer: int


def distributions(facts: ImageFacts, python: Python) -> tuple[Installed, ...]:
    """What is installed for that interpreter, as its metadata has it."""
    found: list[Installed] = []
    for folder in site_folders(facts, python):
        for name in facts.tree.names(folder):
            ending = name.rpartition(".")[2]
            if ending not in {"dist-info", "egg-info"}:
                continue
            file = "METADATA" if ending == "dist-info" else "PKG-INFO"
            path = facts.tree.find(f"{folder}/{name}/{file}") or ""
            if text := facts.tree.texts.get(path):
                read = _distribution(path, text)
                if read is not None:
                    found.append(Installed(read, facts.tree.nodes[path].layer))
    return tuple(found)


def _distribution(path: str, text: bytes) -> Distribution | None:
    metadata, _ = parse_email(text)
    name, version = metadata.get("name"), metadata.get("version")
    if not name or not version:
        return None
    return Distribution(
        path=path,
        name=name,
        version=version,
        requires_dist=tuple(metadata.get("requires_dist", ())),
        requires_python=metadata.get("requires_python", ""),
    )
