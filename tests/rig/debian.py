"""Packages of a Debian-like machine, from the mirror that the machine itself uses."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.rig.commands import RigError, run

ENGINE: Final = ("docker.io", "docker-cli", "docker-buildx", "containerd")
OTHERS: Final = (
    "binfmt-support",
    "ca-certificates",
    "docker-registry",
    "iptables",
    "mmdebstrap",
    "arch-test",  # by which mmdebstrap sees that arm64 is emulated
    "python3-pip",
    "qemu-user-static",
)
NEWER: Final = "trixie"
"""Debian 12 has engine 20.10, which cannot build one image for two architectures, and no buildx."""

KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PREFERENCES: Final = f"""\
Package: *
Pin: release n={NEWER}
Pin-Priority: -10

Package: {" ".join(ENGINE)}
Pin: release n={NEWER}
Pin-Priority: 990
"""


def install() -> None:
    """Everything that the rig starts; a package that is there already stays as it is."""
    if shutil.which("apt-get") is None:
        raise RigError("packages are missing, and this is no Debian-like machine: no apt-get")
    if os.geteuid() != 0:
        raise RigError("packages are missing, and only root can install them")
    if codename() == "bookworm":
        source = f"deb [signed-by={KEYRING}] {mirror()} {NEWER} main\n"
        Path("/etc/apt/sources.list.d/packager-rig.list").write_text(source, encoding="utf-8")
        Path("/etc/apt/preferences.d/packager-rig").write_text(PREFERENCES, encoding="utf-8")
    apt_get("update")
    with no_service_started():
        apt_get("install", "--yes", "--no-install-recommends", *ENGINE, *OTHERS)


def apt_get(*words: str) -> None:
    run("apt-get", *words, "-qq", env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


@contextmanager
def no_service_started() -> Iterator[None]:
    """Debian starts what it installs, unless this program forbids it: we start, and stop, our own."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def mirror(apt: Path = Path("/etc/apt")) -> str:
    """The address of the machine's first package source, in either of apt's two formats."""
    for path in (apt / "sources.list.d" / "debian.sources", apt / "sources.list"):
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            words = line.split()
            if words[:1] == ["URIs:"]:
                return words[1]
            if words[:1] == ["deb"]:
                return next(word for word in words[1:] if "://" in word)
    raise RigError("apt's sources name no mirror")


def codename() -> str:
    for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    return ""
