"""Makes a standalone build of the CPython that runs this: one that runs wherever it is unpacked.

    python3.12 interpreter.py FOLDER

leaves `cpython-3.12.3-x86_64.tar.gz` in the folder, laid out as those of python-build-standalone:
`python/bin/python3.12` and `python/lib/python3.12`. It needs `ldd` and `patchelf`. Shared libraries
that are not of every system's core come along and are found by relative run paths; nothing comes
that was installed beside the standard library. It runs with the Python that is copied (3.8 or
newer), so it uses the standard library alone.
"""

import contextlib
import gzip
import platform
import re
import shutil
import site
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

CORE = re.compile(
    r"(ld-linux.*|linux-vdso|libc|libm|libdl|libpthread|librt|libutil|libresolv|libnss_[a-z]+"
    r"|libgcc_s|libstdc\+\+|libz)\.so.*"
)
"""Of the C library and of what the JVM needs: every worker has them, and two do not mix."""

LEFT_OUT = ("__pycache__", "site-packages", "dist-packages", "test", "tkinter", "_tkinter.*", "*.a")

SITE = """\
import os, site, sys
name = "python%d.%d" % sys.version_info[:2]
site.addsitedir(os.path.join(sys.base_prefix, "lib", name, "site-packages"))
"""
"""For distributions whose Python looks for packages elsewhere than CPython does: Debian's."""


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    name = f"cpython-{platform.python_version().rstrip('+')}-{platform.machine()}.tar.gz"
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        copy(Path(folder, "python"))
        file = stack.enter_context(gzip.GzipFile(out / name, "wb", compresslevel=1, mtime=0))
        archive = stack.enter_context(tarfile.open(fileobj=file, mode="w"))
        archive.add(str(Path(folder, "python")), "python", filter=plain)


def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without what differs from one time to the next."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


def copy(folder: Path) -> None:
    name = "python{}.{}".format(*sys.version_info)
    library = folder / "lib" / name
    program = folder / "bin" / name
    program.parent.mkdir(parents=True)
    shutil.copy2(Path(getattr(sys, "_base_executable", None) or sys.executable).resolve(), program)
    for alias in ("python3", "python"):
        (program.parent / alias).symlink_to(name)
    base = {"base": sys.base_prefix, "installed_base": sys.base_prefix}
    platform = {"platbase": sys.base_exec_prefix, "installed_platbase": sys.base_exec_prefix}
    paths = sysconfig.get_paths(vars={**base, **platform})
    # Fedora's family keeps all of it in lib64, where such a Python looks for it.
    for source in dict.fromkeys((paths["stdlib"], paths["platstdlib"])):
        ignored = shutil.ignore_patterns(*LEFT_OUT)
        shutil.copytree(source, library, ignore=ignored, dirs_exist_ok=True)
    (folder / "lib64").symlink_to("lib")
    (library / "site-packages").mkdir()
    if not any(path.endswith("site-packages") for path in site.getsitepackages()):
        (library / "dist-packages").mkdir()
        (library / "dist-packages" / "site_packages.py").write_text(SITE, encoding="utf-8")
        start = library / "dist-packages" / "site_packages.pth"
        start.write_text("import site_packages\n", encoding="utf-8")
    modules = sorted((library / "lib-dynload").glob("*.so"))
    libraries = needed([program, *modules], folder / "lib")
    for files, path in (
        (libraries, "$ORIGIN"),
        (modules, "$ORIGIN/../.."),
        ([program], "$ORIGIN/../lib"),
    ):
        for file in files:
            file.chmod(0o755)
        if files:
            subprocess.run(["patchelf", "--set-rpath", path, *map(str, files)], check=True)


def needed(files: list, folder: Path) -> list:
    """Copy the libraries that the files need, and what those need, into the folder."""
    # It follows the whole chain, by the run paths that the files still have.
    said = subprocess.run(["ldd", *map(str, files)], stdout=subprocess.PIPE, text=True, check=True)
    found = {
        Path(name).name: path
        for name, path in re.findall(r"^\s*(\S+) => (/\S+)", said.stdout, re.MULTILINE)
        if not CORE.fullmatch(Path(name).name)
    }
    for name, path in found.items():
        shutil.copy2(Path(path).resolve(), folder / name)
    return [folder / name for name in sorted(found)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
