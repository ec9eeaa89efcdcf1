"""Standalone builds of CPython for the target: uv knows, downloads and verifies them.

So its settings hold: a mirror, a table of one's own builds, a folder of archives, offline.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packager.adapters.builds import FOUND, admit, installed, stored
from packager.adapters.process import run
from packager.adapters.store import Store
from packager.adapters.uv import UNREACHABLE
from packager.errors import CommandError, ConfigError
from packager.ports import BundledPython
from packager.target import Target

OF_THIS_MACHINE: Final = frozenset(
    {"UV_MANAGED_PYTHON", "UV_NO_MANAGED_PYTHON", "UV_PYTHON_PREFERENCE"}
)
"""They say which Pythons uv may run here, and hide those that are to run elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UvPythons:
    """The builds that the `uv` knows which is installed with packager."""

    env: Mapping[str, str]
    binary: str
    root: Path
    """The project's, whose `uv.toml` may name a mirror."""
    store: Store
    say: Callable[[str], None]

    def installed(self, target: Target) -> BundledPython:
        listed = self._newest(target)
        key = hashlib.sha256(listed.url.encode()).hexdigest()
        sha256, _, filename = (self.store.recall(FOUND, key) or "").partition(" ")
        build = stored(self.store, sha256, filename) if filename else None
        if build is None:
            self.say(f"Fetching Python {listed.version} for {target.arch.name}")
            build = admit(self.store, lambda folder: self._download(listed, folder))
            self.store.remember(FOUND, key, f"{build.sha256} {build.filename}")
        part = installed(self.store, build, target.python)
        return BundledPython(version=listed.version, build=build, part=part)

    def _newest(self, target: Target) -> "_Listed":
        request = f"cpython-{target.python}-linux-{target.arch.machine}-gnu"
        options = ("--only-downloads", "--all-platforms", "--all-arches")
        said = self._uv("list", request, *options, "--output-format", "json", env=self.env)
        for row in json.loads(said or "[]"):
            # Neither a pre-release nor another variant, as the one without a GIL is.
            if row["variant"] == "default" and row["version"].replace(".", "").isdecimal():
                return _Listed(key=row["key"], version=row["version"], url=row["url"])
        release = target.release
        raise ConfigError(
            f"there is no standalone Python {target.python} for {target.arch.name}",
            why=f"{release.label} has not got it either: it has Python"
            f" {', '.join(i.python for i in release.interpreters) or release.python}",
            fix="choose another `python`; those that can be bundled:"
            " uv python list --only-downloads --all-arches",
        )

    def _download(self, listed: "_Listed", folder: Path) -> Path:
        """Let uv bring and verify an archive, which it keeps where it is told to."""
        shared = self.env.get("UV_PYTHON_CACHE_DIR")
        archives = Path(shared) if shared else folder / "archives"
        env = {**self.env, "UV_PYTHON_CACHE_DIR": str(archives)}
        where = ("--install-dir", str(folder / "installed"), "--no-bin")
        self._uv("install", listed.key, *where, env=env, fetching=listed)
        # uv puts some of the hash before the name, and spells it without `+`.
        name = listed.url.rpartition("/")[2].replace("%2B", "-")
        found = sorted(archives.glob(f"*-{name}"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise CommandError(
                f"uv did not keep {name}",
                why=f"it is not in {archives}",
                fix="use a uv of 0.9 or newer",
            )
        path = folder / name
        path.write_bytes(found[-1].read_bytes())
        return path

    def _uv(
        self,
        *arguments: str,
        env: Mapping[str, str],
        fetching: "_Listed | None" = None,
    ) -> str:
        options = ("--managed-python", "--no-progress", "--color", "never")
        env = {name: value for name, value in env.items() if name not in OF_THIS_MACHINE}
        done = run(
            [self.binary, "python", *arguments, *options], cwd=self.root, env=env, check=False
        )
        if done.returncode == 0:
            return done.stdout
        why = done.stderr.strip().removeprefix("error: ").replace("\n", "\n       ")
        what = f"Python {fetching.version} can not be had" if fetching else "uv lists no Pythons"
        if "Hash mismatch" in why:
            raise ConfigError(
                f"{what}: it does not have the hash that uv knows",
                why=why,
                fix="the mirror serves another file: mend it, or unset UV_PYTHON_INSTALL_MIRROR",
            )
        if any(sign in why for sign in (*UNREACHABLE, "error sending request")):
            raise CommandError(
                what,
                why=why,
                fix="check the network and the proxy, name a mirror (UV_PYTHON_INSTALL_MIRROR), or"
                " choose a Python that the release has: packager releases",
            )
        raise CommandError(
            what, why=why, fix="mend uv's settings for Python: UV_PYTHON_*, UV_OFFLINE, uv.toml"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    key: str
    """What uv calls it."""
    version: str
    url: str
