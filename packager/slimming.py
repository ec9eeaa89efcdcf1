"""What can be left out of wheels by name, and out of `RECORD` with it. Pure given the wheels.

Each rule looks at paths alone, so it costs nothing, and at nothing that a job needs as long as its
packages keep to the usual. Those that are known not to are left whole, and none is on by default.
Symbols are no files, but parts of some, which `RECORD` then lists as they are without.
"""

import csv
import io
import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from packaging.utils import canonicalize_name

from packager import elfstrip
from packager.elf import Elf
from packager.facts import Distribution, ElfFile
from packager.layers import Layer, contents
from packager.ports import InstalledWheel, Stripped, SymbolStripper
from packager.settings import Slim
from packager.tarball import FILE_MODE, Content, Span, Stored, TarMember

SITE: Final = re.compile(r"lib/python\d+\.\d+/site-packages/")
TEST_FOLDERS: Final = frozenset({"test", "tests"})
TEST_MODULE: Final = re.compile(r"test_.*\.py|.*_test\.py|conftest\.py")

MODULES: Final = (".py", ".so")
SOURCES: Final = (
    *(".h", ".hh", ".hpp", ".hxx", ".c", ".cc", ".cpp", ".cxx", ".f", ".f90", ".a"),
    *(".pxd", ".pxi", ".pyx"),
)
"""Of C, C++, Fortran and Cython: what only compilers and linkers read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What goes by a name."""

    matches: Callable[[str], bool]
    """Of a path in `site-packages`."""
    whole: Callable[[Distribution], bool]
    """Whether a distribution reads such files at run time."""


def is_test(path: str) -> bool:
    """Below a folder of tests in a package: what pytest collects, and data.

    Other modules stay: packages import helpers, or what only looks like tests, from there
    (`astropy.tests.runner`, `django.test`, `tensorflow._api.v2.test`).
    """
    *folders, name = path.split("/")
    if TEST_FOLDERS.isdisjoint(folders[1:]):
        return False
    return TEST_MODULE.fullmatch(name) is not None or not name.endswith(MODULES)


def _is_source(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    included = "include" in folder.split("/") and not name.endswith(MODULES)
    return included or name.endswith(SOURCES)


def _is_stub(path: str) -> bool:
    return path.endswith(".pyi")


COMPILING: Final = re.compile(
    r"cffi|cmdstanpy|cupy|cupy-.*|cython|jax|jaxlib|numba|numba-.*|nvidia-.*|pybind11|pystan"
    r"|pytensor|pythran|tensorflow|tensorflow-.*|torch|triton|xformers"
)
"""Packages that call a compiler in a job, with headers of their own."""


def _compiles(distribution: Distribution) -> bool:
    return COMPILING.fullmatch(canonicalize_name(distribution.name)) is not None


def _reads_stubs(distribution: Distribution) -> bool:
    """lazy_loader finds in a stub what a package has (`attach_stub`), as scikit-image does."""
    needs = (re.match(r"[\w.-]+", text) for text in distribution.requires_dist)
    return any(need and canonicalize_name(need[0]) == "lazy-loader" for need in needs)


SYMBOLS: Final[Slim] = "symbols"
LARGEST_BYTES: Final = 64 << 20
"""Of a file that is in memory while its symbols are taken out; larger ones keep theirs."""

RULES: Final[Mapping[Slim, Rule]] = {
    "tests": Rule(matches=is_test, whole=lambda _: False),
    "headers": Rule(matches=_is_source, whole=_compiles),
    "stubs": Rule(matches=_is_stub, whole=_reads_stubs),
}


def slimmed(layer: Layer, names: Collection[Slim], symbols: SymbolStripper) -> Layer:
    """The layer without what goes by `names`; files of no wheel are left as they are."""
    about = f"{layer.key}\0without {', '.join(sorted(names))}"
    if SYMBOLS in names:
        about += f" {elfstrip.FORMAT}"
    return replace(
        layer,
        key=layer.key and sha256(about.encode()).hexdigest(),
        wheels=(less for part in layer.wheels for less in _slimmed(part, names, symbols)),
    )


def _slimmed(
    part: InstalledWheel, names: Collection[Slim], symbols: SymbolStripper
) -> Iterator[InstalledWheel]:
    """The part, and after it those of its files that are kept elsewhere without symbols."""
    inside = [o for o in part.observations if isinstance(o, Distribution)]
    rules = [
        RULES[name].matches
        for name in sorted(set(names) & RULES.keys())
        if not any(RULES[name].whole(distribution) for distribution in inside)
    ]
    gone = {m.path for m in part.members if any(rule(in_site(m.path)) for rule in rules)}
    stripped = _stripped(part, gone, symbols) if SYMBOLS in names else None
    anew = stripped.rows if stripped else {}
    if not gone and not anew:
        yield part
        return
    left = [m for m in part.members if m.path not in gone and m.path not in anew]
    yield replace(
        part,
        members=tuple(_recorded(left, part, gone, anew)),
        observations=tuple(o for o in part.observations if o.path not in gone),
    )
    if stripped and anew:
        yield stripped.part


def _stripped(
    part: InstalledWheel, gone: Collection[str], symbols: SymbolStripper
) -> Stripped | None:
    found = {o.path for o in part.observations if isinstance(o, ElfFile) and isinstance(o.elf, Elf)}
    members = tuple(
        m
        for m in part.members
        if m.path in found
        and m.path not in gone
        and isinstance(m, Span | Stored)
        and m.size <= LARGEST_BYTES
    )
    return symbols.stripped(replace(part, members=members, observations=())) if members else None


def in_site(path: str) -> str:
    """A path of a layer as seen from where its packages are."""
    found = SITE.match(path)
    return path[found.end() :] if found else path


def _recorded(
    members: Sequence[TarMember],
    part: InstalledWheel,
    gone: Collection[str],
    anew: Mapping[str, tuple[str, int]],
) -> Iterator[TarMember]:
    """The members, with a `RECORD` that lists what is there, as it is."""
    for member in members:
        if member.path.endswith(".dist-info/RECORD"):
            (text,) = contents(replace(part, members=(member,)))
            data = _rewritten(bytes(text), member.path, gone, anew)
            yield Content(path=member.path, mode=FILE_MODE, data=data)
        else:
            yield member


def _rewritten(
    record: bytes, path: str, gone: Collection[str], anew: Mapping[str, tuple[str, int]]
) -> bytes:
    site = posixpath.dirname(posixpath.dirname(path))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in csv.reader(io.StringIO(record.decode())):
        file = posixpath.normpath(posixpath.join(site, row[0])) if row else ""
        if row and file not in gone:
            writer.writerow((row[0], *anew[file]) if file in anew else row)
    return out.getvalue().encode()
