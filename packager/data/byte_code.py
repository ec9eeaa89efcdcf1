"""Compiles Python files to byte code. Started by packager in a Python of the target's version.

So it is written for 3.7 and newer, and knows the standard library alone. Its arguments are folders.
In each, `sources` holds files one after the other and `sources.json` says which: path and bytes.
It leaves their byte code likewise in `code`, and the bytes of each in `code.json`: none of one that
does not compile, as templates and modules for another Python do not.

What comes out depends on nothing but that and the version of Python: not on the machine, the time,
or what else this process compiled.
"""

from __future__ import annotations

import importlib.util
import json
import marshal
import sys
import warnings
from pathlib import Path

UNCHECKED_HASH = (1).to_bytes(4, "little")
"""PEP 552: valid whatever time the source has, as archives that are reproducible have none."""

CODE = type(compile("", "", "exec"))
PARTS = (
    "co_cellvars",
    "co_consts",
    "co_filename",
    "co_freevars",
    "co_name",
    "co_names",
    "co_qualname",
    "co_varnames",
)
SINGLE = [sys.intern(text) for text in ("", *map(chr, range(256)))]
"""Python has one object of each, which `marshal` tells to be interned once any file made it so."""


def byte_code(source: bytes, path: str) -> bytes:
    """The content of a `.pyc` file; empty where there can be none."""
    held: list[object] = []
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        hold(code, held)
        data = marshal.dumps(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return b""
    header = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH
    return header + importlib.util.source_hash(source) + data


def hold(value: object, held: list[object]) -> None:
    """Refer to all names and constants of a code object.

    `marshal` marks what is referred to more than once, and a name is if anything else in this
    process goes by it too: so now every one is.
    """
    held.append(value)
    if isinstance(value, (tuple, frozenset)):
        for one in value:
            hold(one, held)
    elif isinstance(value, CODE):
        for name in PARTS:
            hold(getattr(value, name, None), held)


def compile_all(folder: Path) -> None:
    sources = (folder / "sources").read_bytes()
    made = []
    start = 0
    for path, size in json.loads((folder / "sources.json").read_text(encoding="utf-8")):
        made.append(byte_code(sources[start : start + size], path))
        start += size
    (folder / "code").write_bytes(b"".join(made))
    (folder / "code.json").write_text(json.dumps([len(code) for code in made]), encoding="utf-8")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of escapes and the like: for who wrote it, not who packs it
    for argument in sys.argv[1:]:
        compile_all(Path(argument))
