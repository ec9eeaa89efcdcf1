"""Wheels of sources, by the project's own build backend (PEP 517), through `build`."""

import hashlib
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from packager.adapters.fetch import not_in_store, offline
from packager.adapters.git import check_out
from packager.adapters.process import run, tail
from packager.adapters.store import Store, local_path
from packager.errors import CommandError, ConfigError
from packager.lockfiles import Source
from packager.ports import StoredWheel
from packager.sourcetree import source_digest

BUILT: Final = "built"
"""Where the store remembers which wheel was built of which source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendBuilder:
    store: Store
    env: Mapping[str, str]
    say: Callable[[str], None]

    def project_wheel(self, root: Path, *, key: str | None) -> StoredWheel:
        if key is not None and (known := self._recalled(key)):
            return known
        self.say(f"Building the wheel of {root.name}")
        with tempfile.TemporaryDirectory(prefix="packager-") as out:
            wheel = self.store.admit(self._build(root, Path(out)))
        if key is not None:
            self.store.remember(BUILT, key, f"{wheel.sha256} {wheel.filename}")
        return wheel

    def source_wheel(self, source: Source) -> StoredWheel:
        if source.commit is None and Path(source.location).is_dir():
            root = Path(source.location)
            digest = hashlib.sha256(f"{root}\0{source_digest(root)}".encode()).hexdigest()
            return self.project_wheel(root, key=digest)
        key = settled(source)
        if key is not None and (known := self._recalled(key)):
            return known
        with tempfile.TemporaryDirectory(prefix="packager-") as name:
            folder = Path(name)
            root = self._unpack(source, folder)
            self.say(f"Building the wheel of {source.name} from its source")
            wheel = self.store.admit(self._build(root, folder / "out"))
        if key is not None:
            self.store.remember(BUILT, key, f"{wheel.sha256} {wheel.filename}")
        return wheel

    def source_archive(self, source: Source, out: Path) -> Path:
        """Write the archive of a source into `out`, to be built elsewhere."""
        if source.commit is None and Path(source.location).is_dir():
            return self._build(Path(source.location), out, "sdist")
        if source.commit is None and source.subdirectory is None:
            archive = out / source.location.rpartition("/")[2]
            self._obtain(source, archive)
            return archive
        with tempfile.TemporaryDirectory(prefix="packager-") as folder:
            return self._build(self._unpack(source, Path(folder)), out, "sdist")

    def _unpack(self, source: Source, folder: Path) -> Path:
        """The folder of the project in an archive or a commit, brought into `folder`."""
        if source.commit is not None:
            if self.store.fetcher.offline and local_path(source.location) is None:
                raise not_in_store([f"the wheel of {source.name}, built of its commit,"])
            root = folder / source.name
            check_out(source.location, source.commit, root, self.env)
        else:
            archive = folder / source.location.rpartition("/")[2]
            self._obtain(source, archive)
            root = _unpacked(archive, folder / "source")
        return root / (source.subdirectory or "")

    def _recalled(self, key: str) -> StoredWheel | None:
        sha256, _, filename = (self.store.recall(BUILT, key) or "").partition(" ")
        return self.store.stored(sha256, filename) if filename else None

    def _obtain(self, source: Source, archive: Path) -> None:
        local = local_path(source.location)
        if local is None:
            self.store.fetcher.download(source.location, archive)
        else:
            try:
                archive.write_bytes(local.read_bytes())
            except OSError as error:
                raise ConfigError(f"{source.location} can not be read", why=str(error)) from error
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if source.sha256 is not None and found != source.sha256:
            raise ConfigError(
                f"{archive.name} does not have the hash that the lock gives",
                why=f"expected sha256 {source.sha256}, found {found}",
                fix="find out why the file changed; if it is right, lock again",
            )

    def _build(self, root: Path, out: Path, what: Literal["wheel", "sdist"] = "wheel") -> Path:
        from build import BuildBackendException, BuildException, FailedProcessError, ProjectBuilder
        from build.env import DefaultIsolatedEnv

        def runner(
            cmd: Sequence[str],
            cwd: str | None = None,
            extra_environ: Mapping[str, str] | None = None,
        ) -> None:
            # 1980 is the first year a zip can tell: the backend's wheel is the same every time.
            run(
                cmd,
                cwd=None if cwd is None else Path(cwd),
                env={"SOURCE_DATE_EPOCH": "315532800", **self.env, **(extra_environ or {})},
            )

        try:
            with DefaultIsolatedEnv(installer="uv") as env:
                builder = ProjectBuilder.from_isolated_env(env, root, runner=runner)
                env.install(builder.build_system_requires)
                env.install(builder.get_requires_for_build(what))
                return Path(builder.build(what, out))
        except FailedProcessError as error:
            raise CommandError(
                f"the requirements of the build of {root.name} can not be installed",
                why=tail(str(error)),
                fix="pack once without --offline: uv keeps them"
                if offline(self.env)
                else "check [build-system] requires in its pyproject.toml, and the network",
            ) from error
        except BuildBackendException as error:
            cause = error.exception
            why = cause.why if isinstance(cause, CommandError) else str(error)
            raise CommandError(
                f"the {what} of {root.name} can not be built",
                why=tail(why),
                fix=f"make `python -m build --{what} {os.fspath(root)}` work first",
            ) from error
        except BuildException as error:
            raise ConfigError(
                f"{root} can not be built", why=str(error), fix="correct its pyproject.toml"
            ) from error


def settled(source: Source) -> str | None:
    """A key of what the source can not be without being another, if the lock gives that much."""
    if source.subdirectory is None and source.commit is None:
        return source.sha256
    fixed = source.sha256 if source.commit is None else f"{source.location}\0{source.commit}"
    text = f"{fixed}\0{source.subdirectory or ''}"
    return hashlib.sha256(text.encode()).hexdigest() if fixed else None


def _unpacked(archive: Path, folder: Path) -> Path:
    """Unpack a source archive and return the folder of the project in it."""
    folder.mkdir()
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(folder)  # noqa: S202  # zipfile keeps names inside
        else:
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError) as error:
        raise ConfigError(f"{archive.name} is not a source archive", why=str(error)) from error
    tops = list(folder.iterdir())
    return tops[0] if len(tops) == 1 and tops[0].is_dir() else folder
