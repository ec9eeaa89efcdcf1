"""Byte code beside the modules of a layer: which of them get it, and where it goes. Pure.

Python would make it at the first import, anew on every worker. `RECORD` does not list it, as the
specification of installed projects leaves open: only uninstallers could miss it, and none runs
where an archive is unpacked.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from packager.layers import File, Layer, reading
from packager.ports import ByteCompiler, InstalledWheel, StoredWheel
from packager.slimming import in_site, is_test
from packager.tarball import FILE_MODE, Content

GROUP_BYTES: Final = 16 << 20
"""Files that come from no wheel are in memory while they are compiled: about so many at once."""


def with_byte_code(layer: Layer, python: str, compiler: ByteCompiler) -> Layer:
    """The layer with byte code for all that Python imports from it.

    Raise `ToolError` where no Python of that minor version is at hand.
    """
    about = f"{layer.key}\0byte code of {compiler.version(python)}"
    return replace(
        layer,
        key=layer.key and hashlib.sha256(about.encode()).hexdigest(),
        wheels=_compiled(layer, python, compiler),
    )


def _compiled(layer: Layer, python: str, compiler: ByteCompiler) -> Iterator[InstalledWheel]:
    """Every wheel, the byte code of its modules after it, and at last that of the files."""
    root = "" if layer.kind == "app" else f"lib/python{python}/"
    parts = tuple(layer.wheels)
    modules = [
        replace(
            part,
            members=tuple(m for m in part.members if is_module(m.path, root)),
            observations=(),
        )
        for part in parts
    ]
    # A few wheels bring some of their own, which `RECORD` lists: a file can be there once.
    theirs = {m.path for part in parts for m in part.members if m.path.endswith(".pyc")}
    for part, code in zip(parts, compiler.compiled(modules, python), strict=True):
        yield part
        yield replace(code, members=tuple(m for m in code.members if m.path not in theirs))
    for group in _groups(file for file in layer.files if is_module(file.path, root)):
        yield from compiler.compiled([group], python)


def is_module(path: str, root: str) -> bool:
    """Whether a job may import it, from a layer that has packages below `root`."""
    return (
        path.endswith(".py")
        and path.startswith(root)
        and not path.startswith("bin/")  # scripts, which run and are not imported
        and not is_test(in_site(path))  # two of five modules, and no job imports them
    )


def code_path(module: str, python: str) -> str:
    """Where Python looks for the byte code of a module (PEP 3147)."""
    path = PurePosixPath(module)
    name = f"{path.stem}.cpython-{python.replace('.', '')}.pyc"
    return str(path.parent / "__pycache__" / name)


def _groups(files: Iterable[File]) -> Iterator[InstalledWheel]:
    """Files as if they were those of a wheel."""
    group: list[Content] = []
    size = 0
    for file in files:
        with reading(file):
            data = file.source.read_bytes()
        group.append(Content(path=file.path, mode=FILE_MODE, data=data))
        size += len(data)
        if size > GROUP_BYTES:
            yield _group(group)
            group, size = [], 0
    if group:
        yield _group(group)


def _group(files: list[Content]) -> InstalledWheel:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.path}\0{len(file.data)}\0".encode())
        digest.update(file.data)
    own = StoredWheel(path=Path(os.devnull), filename="", sha256=digest.hexdigest(), size=0)
    return InstalledWheel(wheel=own, members=tuple(files), observations=())
