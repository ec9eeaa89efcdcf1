"""Resolving with uv: what a project asks for becomes a PEP 751 text for one target."""

import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from packager.adapters.credentials import uv_tables
from packager.adapters.fetch import offline
from packager.adapters.process import run
from packager.documents import parse_toml
from packager.errors import CommandError, ConfigError
from packager.target import Target

GLIBC_LEVELS: Final = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
"""The `manylinux_2_N` that uv takes as --python-platform; the next lower one serves the rest."""

UNREACHABLE: Final = (
    "Failed to fetch",
    "Request failed",
    "client error (Connect)",
    "Failed to download",
)
"""How uv says that the network or an index failed, and not the requirements."""

OFFLINE: Final = ("network was disabled", "etwork connectivity is disabled")
"""How uv says that it would have asked, had it not been told to be offline."""

AT_ONCE: Final = "16"
"""Questions to indexes. uv's own 50 begin with looking the same name up 50 times, of which networks
lose one, and its answer comes 5 s late; with 16 the reference set takes no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uv:
    """The `uv` that is installed with packager. Its own settings and environment are honoured."""

    env: Mapping[str, str]
    binary: str
    """Found once: the search reads `sysconfig`, which is not for two threads at once."""

    def compile(
        self,
        requirements: Sequence[str],
        *,
        root: Path,
        target: Target,
        extras: Sequence[str] = (),
        groups: Sequence[str] = (),
    ) -> str:
        options = [f"--extra={extra}" for extra in extras] + [f"--group={g}" for g in groups]
        return self._compile(
            requirements, root, target, ["--python-platform", _platform(target), *options]
        )

    def beside(
        self,
        there: Sequence[str],
        wanted: Sequence[str],
        *,
        root: Path,
        target: Target,
        extras: Sequence[str] = (),
        groups: Sequence[str] = (),
    ) -> str:
        options = [f"--extra={extra}" for extra in extras] + [f"--group={g}" for g in groups]
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in there)
            file.flush()
            return self._compile(
                ["-", *(["pyproject.toml"] if extras else [])],
                root,
                target,
                ["--python-platform", _platform(target), f"--constraints={file.name}", *options],
                input_="".join(f"{line}\n" for line in wanted),
            )

    def available(self, name: str, version: str, *, root: Path, target: Target) -> tuple[str, ...]:
        if offline(self.env):  # then only a wheel that was built before will do
            return ()
        text = self.find([f"{name}=={version}"], indexes=(), root=root, target=target)
        packages = parse_toml(text).get("packages", [])
        return tuple(
            wheel.get("name") or (wheel.get("url") or wheel.get("path", "")).rpartition("/")[2]
            for package in packages
            for wheel in package.get("wheels", ())
        )

    def find(
        self, pins: Sequence[str], *, indexes: Sequence[str], root: Path, target: Target
    ) -> str:
        # Every file is checked by hash later, so it does not matter which index has it.
        strategy = ["--index-strategy", "unsafe-best-match"] if indexes else []
        lines = [*(f"--extra-index-url {index}" for index in indexes), *pins]
        return self._compile(
            ["-"],
            root,
            target,
            ["--universal", "--no-deps", *strategy],
            input_="".join(f"{line}\n" for line in lines),
        )

    def _compile(
        self,
        requirements: Sequence[str],
        root: Path,
        target: Target,
        options: Sequence[str],
        input_: str | None = None,
    ) -> str:
        return self._run(
            [
                *("pip", "compile", *requirements, "--format", "pylock.toml"),
                *("--python-version", target.python, *options),
                *(f"--excludes={_excludes()}", "--no-header", "--no-annotate"),
            ],
            root,
            input_,
            self._asking(root),
        )

    def export(self, lock: Path, *, extras: Sequence[str], groups: Sequence[str]) -> str:
        # `--locked` asks for an interpreter that the project allows; where ours is none, the lock
        # is taken as it is, rather than fetching a Python only to compare two files.
        admits = _admits_us(parse_toml(lock.read_text(encoding="utf-8")).get("requires-python"))
        options = [f"--extra={extra}" for extra in extras] + [f"--group={g}" for g in groups]
        return self._run(
            [
                *("export", "--locked" if admits else "--frozen", "--format", "pylock.toml"),
                *("--no-emit-project", "--no-dev", "--no-header", "--no-annotate", *options),
            ],
            lock.parent,
            None,
            self.env,
        )

    def _asking(self, root: Path) -> Mapping[str, str]:
        if any("concurrent-downloads" in table for table in uv_tables(root, self.env)):
            return self.env
        return {"UV_CONCURRENT_DOWNLOADS": AT_ONCE, **self.env}

    def _run(
        self, arguments: Sequence[str], cwd: Path, input_: str | None, env: Mapping[str, str]
    ) -> str:
        # Our own interpreter is named so that uv looks for no other: none is ever started.
        argv = [self.binary, *arguments, "--python", sys.executable, "--no-python-downloads"]
        done = run(
            [*argv, "--quiet", "--no-progress", "--color", "never"],
            cwd=cwd,
            env=env,
            input_=input_,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout
        why = done.stderr.strip().removeprefix("error: ").replace("\n", "\n       ")
        if any(sign in why for sign in OFFLINE):
            raise ConfigError(
                f"the dependencies in {cwd} can not be resolved offline",
                why=why,
                fix="pack once without --offline; with a lock that has hashes, no index is asked"
                " again",
            )
        if any(sign in why for sign in UNREACHABLE):
            raise CommandError(
                "a package index can not be reached",
                why=why,
                fix="check the network, the proxy and UV_DEFAULT_INDEX, and try again",
            )
        if re.search("incompatible with the (declared )?conflicts", why):
            raise ConfigError(
                "of the extras and groups that are chosen, some exclude each other",
                why=why,
                fix="choose those that go together: `extras` and `groups`",
            )
        if "needs to be updated" in why:
            raise ConfigError(
                f"{cwd / 'uv.lock'} is older than pyproject.toml",
                why=why.splitlines()[0],
                fix="run `uv lock`",
            )
        raise ConfigError(
            f"the dependencies in {cwd} can not be resolved",
            why=why,
            fix="correct the requirement it names",
        )


def _admits_us(requires_python: object) -> bool:
    try:
        specifiers = SpecifierSet(requires_python if isinstance(requires_python, str) else "")
    except InvalidSpecifier:
        return True  # uv will tell of it
    return specifiers.contains(".".join(map(str, sys.version_info[:3])))


def _platform(target: Target) -> str:
    minor = max(level for level in GLIBC_LEVELS if level <= target.glibc[1])
    return f"{target.arch.machine}-manylinux_2_{minor}"


def _excludes() -> Path:
    """`lockfiles.PROVIDED` as a file: keeps uv from looking at pyspark, 300 MB of source."""
    return Path(__file__).parent.parent / "data" / "provided.txt"
