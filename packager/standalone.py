"""What of a CPython build becomes a layer, and how it finds the environment beside it. Pure.

A standalone build has its program in `bin`, its library in `lib/python3.x` and takes the one by the
other, wherever they are unpacked: no `pyvenv.cfg`, no prefix, no LD_LIBRARY_PATH. The environment's
`bin/python` is a relative link to it.
"""

import posixpath
import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, Final

from packager.errors import ConfigError
from packager.tarball import EXECUTABLE_MODE, FILE_MODE, Content, Symlink, TarMember

ALIAS: Final = "python"
"""Of the interpreter's archive, beside the environment's."""

START: Final = "packager_python"
"""Module that every start of a bundled interpreter imports."""

LEFT_OUT: Final = frozenset(
    {"test", "tests", "idlelib", "tkinter", "turtledemo", "__pycache__", "site-packages"}
)
"""Directories of a build that no job needs. Fedora's family, Amazon Linux with it, keeps those of
its Python in packages of their own (`-test`, `-idle`, `-tkinter`); and what a build brings besides
the library (pip) is not the project's choice. Byte code is of no use without the times of its
sources, which an archive has not."""

_TK: Final = re.compile(r"lib/(lib)?(tcl|tk|itcl|thread|tdbc)[0-9a-z.]*(/.*)?|.*/_tkinter\..*")
_STATIC: Final = re.compile(r".*\.(a|o|c|in)|.*/python-config\.py")

SOURCE: Final = '''\
"""Makes one of the bundled interpreter and the environment that lies beside it."""

import os
import site
import sys

if sys.prefix == sys.base_prefix:
    # Before Python 3.11 it names the link by which it was started.
    sys.prefix = sys.exec_prefix = os.path.normpath(sys.prefix)
    sys.base_prefix = sys.base_exec_prefix = sys.prefix

_packages = os.path.join("lib", "python%d.%d" % sys.version_info[:2], "site-packages")
_environment = os.path.join(os.path.dirname(sys.base_prefix), "environment", _packages)
if _environment != os.path.join(sys.base_prefix, _packages):
    site.addsitedir(_environment)

# Where Amazon Linux has its certificate authorities. The interpreter's own OpenSSL looks elsewhere.
_authorities = "/etc/pki/tls/certs/ca-bundle.crt"
if (
    "SSL_CERT_FILE" not in os.environ
    and "SSL_CERT_DIR" not in os.environ
    and os.path.exists(_authorities)
):
    os.environ["SSL_CERT_FILE"] = _authorities
'''


def start_members(python: str) -> tuple[TarMember, ...]:
    """What a bundled interpreter has besides its build."""
    packages = f"lib/python{python}/site-packages"
    return (
        Content(path=f"{packages}/{START}.pth", mode=FILE_MODE, data=f"import {START}\n".encode()),
        Content(path=f"{packages}/{START}.py", mode=FILE_MODE, data=SOURCE.encode()),
        # Fedora's family, Amazon Linux with it, looks for its library in lib64.
        Symlink(path="lib64", link="lib"),
    )


def kept(path: str, python: str) -> bool:
    """Whether a file of a build, by its path in it, goes into the layer.

    The shared libpython stays although the program has it built in: some packages are linked to it.
    """
    top, _, rest = path.partition("/")
    if top == "bin":
        return rest in {"python", "python3", f"python{python}"}
    if top == "include":  # `sysconfig` reads this one
        return posixpath.basename(path) == "pyconfig.h"
    if top != "lib" or _TK.fullmatch(path):
        return False
    if not path.startswith(f"lib/python{python}/"):
        return "/" not in rest  # shared libraries; what of pkgconfig and the like is for compilers
    parts = path.split("/")[2:]
    if not LEFT_OUT.isdisjoint(parts[:-1]):
        return False
    return not (parts[0].startswith("config-") and _STATIC.fullmatch(path))


def read_build(stream: BinaryIO, name: str, python: str) -> Iterator[TarMember]:
    """The kept files of a build's `.tar.gz`, in its order and as the layer has them.

    Raise `ConfigError` for an archive that is no build of that Python, or is damaged.
    """
    try:
        with tarfile.open(fileobj=stream, mode="r:gz") as archive:
            yield from _members(archive, name, python)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise ConfigError(
            f"{name} can not be read",
            why=str(error) or type(error).__name__,
            fix="delete it from the mirror or the cache it came from, and pack again",
        ) from error


def _members(archive: tarfile.TarFile, name: str, python: str) -> Iterator[TarMember]:
    infos = archive.getmembers()
    program = f"bin/python{python}"
    root = next((i.name.removesuffix(program) for i in infos if i.name.endswith(program)), None)
    inside = (
        {}
        if root is None
        else {
            posixpath.normpath(i.name.removeprefix(root)): i
            for i in infos
            if i.name.startswith(root)
        }
    )
    if f"lib/python{python}/encodings/__init__.py" not in inside:
        raise ConfigError(
            f"{name} is not a standalone build of Python {python}",
            why=f"it has no {program} with lib/python{python} beside it",
            fix="check the mirror: it must serve builds as python-build-standalone makes them",
        )
    for path, info in inside.items():
        if info.isdir() or not kept(path, python):
            continue
        if info.isfile():
            file = archive.extractfile(info)
            assert file is not None  # noqa: S101  # regular files have content
            mode = EXECUTABLE_MODE if info.mode & 0o111 else FILE_MODE
            yield Content(path=path, mode=mode, data=file.read())
            continue
        link = info.linkname
        if info.islnk():
            link = posixpath.relpath(link.removeprefix(root or ""), posixpath.dirname(path) or ".")
        leads = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
        if leads.startswith(("/", "..")) or not (info.issym() or info.islnk()):
            raise ConfigError(
                f"{name} can not be unpacked elsewhere",
                why=f"{path} leads to {info.linkname or 'a device'}, out of its folder",
                fix="use a standalone build of Python",
            )
        if leads in inside and kept(leads, python):  # what it names may have been left out
            yield Symlink(path=path, link=link)
