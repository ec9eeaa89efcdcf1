"""What is fuzzed: a sound project for each reader, and the commands that read it.

Everything runs as in a pack, down to archives that are checked, over ports that reach no network:
URLs can not be fetched, `git` fails, and nothing that is named is built.
"""

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from packager.adapters.builder import BackendBuilder
from packager.adapters.credentials import known_credentials
from packager.adapters.fetch import Fetcher
from packager.adapters.store import Store
from packager.adapters.symbols import StoreStripper
from packager.adapters.uv import Uv
from packager.checks.rules import RULES
from packager.emitters.forms import EMITTERS
from packager.entrypoints import entry_point_names
from packager.errors import CommandError, PackagerError
from packager.explain import explanation
from packager.inspection import inspect, inspection_json, inspection_text
from packager.pipeline import pack
from packager.ports import BundledPython, Ports, StoredWheel
from packager.project import Project, find_project
from packager.recorded import find_record, job_of, target_of
from packager.reports import FORMATS
from packager.revalidation import reports_on
from packager.settings import Settings, resolve
from packager.target import Target
from tests.archives import APP, ENVIRONMENT, Entry, tar_bytes
from tests.fakes import FakeBuilder, FakeByteCompiler, FakeDocker, FakeResolver, lock_text
from tests.foreign import SAMPLES, locked_project
from tests.fuzz.mutate import (
    LINES,
    NAMES,
    by_bytes,
    by_fields,
    by_lines,
    renamed,
    spoiled,
)
from tests.index import Index, make_wheel

Spoil = Callable[[random.Random, bytes], bytes]

PYPROJECT: Final = """
[project]
name = "shop"
version = "1.0"
requires-python = ">=3.9"
dependencies = ["fruit>=1", "pyspark; extra == 'x'"]
[project.optional-dependencies]
one = ["fruit"]
[project.scripts]
shop-main = "shop:main"
[dependency-groups]
dev = ["fruit", {include-group = "dev2"}]
dev2 = []
[[tool.uv.index]]
name = "own"
url = "https://u:p@host/simple"
[tool.uv]
extra-index-url = ["https://a:b@host/simple"]
[tool.poetry]
package-mode = false
[tool.packager]
release = "emr-7.13.0"
entry-point = ["main.py", "shop:main"]
exclude = ["*.csv"]
arch = ["amd64", "arm64"]
extras = []
s3-uri = "s3://bucket/jobs"
layout = "layers"
[tool.packager.conf]
"spark.executor.memory" = "2g"
"spark.executor.cores" = 2
[tool.packager.waivers]
ARC006 = "not used"
[tool.packager.releases."emr-7.99.0"]
like = "emr-7.13.0"
python = "3.11"
glibc = "2.34"
"""

REQUIREMENTS: Final = """\
# written by hand
--index-url https://u:p@host/simple
-r more.txt
fruit[x]==1.0 ; python_version >= "3.9" \\
    --hash=sha256:{fruit} \\
    --hash=sha256:{seed}
seed == 1.0 --hash=sha256:{seed}
"""

UV_LOCK: Final = """\
version = 1
revision = 3
requires-python = ">=3.9"

[[package]]
name = "fruit"
version = "1.0"
source = { registry = "https://host/simple" }
wheels = [{ url = "https://host/fruit-1.0-py3-none-any.whl", hash = "sha256:HASH", size = 900 }]

[[package]]
name = "shop"
version = "1.0"
source = { virtual = "." }
dependencies = [{ name = "fruit" }]

[package.metadata]
requires-dist = [{ name = "fruit", specifier = ">=1" }]
"""


class NoNetwork(Fetcher):
    __slots__ = ()

    def download(  # as the real one
        self,
        url: str,  # noqa: ARG002
        path: Path,
        *,
        size: int | None = None,  # noqa: ARG002
    ) -> None:
        raise CommandError(f"{path.name} can not be downloaded")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoBuilds(BackendBuilder):
    def project_wheel(self, root: Path, *, key: str | None) -> StoredWheel:  # noqa: ARG002
        return self.store.admit(root.parent / "built" / "shop-1.0-py3-none-any.whl")

    def _build(
        self,
        root: Path,
        out: Path,  # noqa: ARG002
        what: Literal["wheel", "sdist"] = "wheel",  # noqa: ARG002
    ) -> Path:
        raise CommandError(f"{root.name} can not be built")


class NoPythons:
    def installed(self, target: Target) -> BundledPython:
        raise CommandError(f"Python {target.python} can not be downloaded")


class UvWithoutUv(Uv):
    """All of the adapter but the program."""

    __slots__ = ()

    def _run(
        self,
        arguments: Sequence[str],  # noqa: ARG002  # as the real one
        cwd: Path,
        input_: str | None,  # noqa: ARG002
        env: Mapping[str, str],  # noqa: ARG002
    ) -> str:
        return (cwd.parent / "answer.toml").read_text(encoding="utf-8")


@dataclass(slots=True)
class World:
    """A folder with wheels, a project of each kind, and ports that reach nothing."""

    folder: Path
    resolver: FakeResolver = field(default_factory=FakeResolver)
    said: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.folder / "project"

    def ports(self, *, uv: str = "") -> Ports:
        store = Store(root=self.folder / "store", fetcher=NoNetwork(), say=self.said.append)
        env = {"PATH": str(self.folder / "bin")}
        answering: Uv = UvWithoutUv(env=env, binary="")
        if uv:
            answering = Uv(env={**os.environ, "UV_OFFLINE": "1"}, binary=uv)
        return Ports(
            resolver=answering,
            store=store,
            builder=NoBuilds(store=store, env=env, say=self.said.append),
            pythons=NoPythons(),
            byte_compiler=FakeByteCompiler(),
            symbols=StoreStripper(store=store),
            docker=FakeDocker(builder=FakeBuilder(store=store)),
            stop=lambda: None,
        )

    def prepared(self) -> "World":
        wheels = self.folder / "wheels"
        made = [make_wheel(wheels, name) for name in ("fruit", "seed")]
        make_wheel(self.folder / "built", "shop", files={"shop/__init__.py": "def main(): ...\n"})
        (self.folder / "answer.toml").write_text(lock_text(*made), encoding="utf-8")
        git = self.folder / "bin" / "git"
        git.parent.mkdir()
        git.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        git.chmod(0o755)
        self.root.mkdir()
        (self.root / "main.py").write_text("", encoding="utf-8")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    name: str
    prepare: Callable[[World], Path]
    """Write a sound project; the file that is to be spoiled comes back."""
    spoil: Spoil
    read: Callable[[World, Path], list[str]]
    """What the user would see on standard output."""
    sound: bool = True
    """Whether the file is taken as it is; without a network, uv finds nothing."""


def settings_of(project: Project, **flags: Any) -> Settings:
    where = project.root / "pyproject.toml"
    table = project.settings
    return resolve({"release": None if table else "emr-7.13.0", **flags}, {}, table, where)


def packing(world: World, _path: Path, *, uv: str = "", **flags: Any) -> list[str]:
    project = find_project(world.root, world.root)
    settings = settings_of(project, **flags)
    texts = [explanation(project, settings)]
    known_credentials(world.root, {})
    for item in pack(project, settings, world.ports(uv=uv), world.said.append):
        texts += [item.path.read_text(encoding="utf-8"), *judged([item.path])]
        texts += configured(item.path)
    return texts


def judged(paths: list[Path]) -> list[str]:
    settings = resolve({"release": "emr-7.13.0"}, {}, {}, None)
    reports = reports_on(paths, paths[0].parent, settings, chosen={})
    texts = [write(reports, RULES) for write in FORMATS.values()]
    for path in paths:
        seen = inspect(path, path.parent, release=None, arch=None)
        texts += [inspection_text(seen), json.dumps(inspection_json(seen), ensure_ascii=False)]
    return texts


def configured(path: Path) -> list[str]:
    settings = resolve({}, {}, {}, None)
    found = find_record(path, path.parent, release=None, arch=None)
    texts: list[str] = []
    refused: PackagerError | None = None
    for name in (None, *entry_point_names(found.record)):
        for emit in EMITTERS.values():
            try:
                job = job_of(
                    found,
                    target_of(found.record, settings),
                    s3_uri="s3://bucket",
                    conf={},
                    arguments=(),
                    entry_point=name,
                )
                texts.append(emit(job))
            except PackagerError as error:
                refused = error
    if refused is not None and not texts:
        raise refused
    return texts


def validating(_world: World, path: Path) -> list[str]:
    return judged([path])


def reading_record(world: World, path: Path) -> list[str]:
    refused: list[PackagerError] = []
    texts: list[str] = []
    for read in (configured, lambda p: judged([p])):
        try:
            texts += read(path)
        except PackagerError as error:
            refused.append(error)
    if refused and not texts:
        raise refused[0]
    return texts


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def digest(world: World, name: str) -> str:
    return hashlib.sha256((world.folder / "wheels" / name).read_bytes()).hexdigest()


def pylock(world: World) -> Path:
    wheels = world.folder / "wheels"
    text = lock_text(wheels / "fruit-1.0-py3-none-any.whl", folders=[world.folder / "other"])
    (world.folder / "other").mkdir()
    more = (
        '[[packages]]\nname = "git"\nversion = "1"\nmarker = "python_version < \'3\'"\n'
        'vcs = { type = "git", url = "https://host/x.git", commit-id = "COMMIT",'
        ' subdirectory = "x" }\n[[packages]]\nname = "far"\nversion = "2.0"\n'
        "requires-python = \">=4\"\nmarker = \"os_name == 'nt' or 'x' in extras\"\n"
        'archive = { url = "https://host/far-2.0.tar.gz", hashes = { sha256 = "HASH" } }\n'
        '[[packages]]\nname = "seed"\nversion = "1.0"\n'
        'wheels = [{ path = "../wheels/seed-1.0-py3-none-any.whl", hashes = { sha256 = "SEED" } }]\n'
        'sdist = { url = "https://host/seed-1.0.tar.gz", hashes = { sha256 = "HASH" } }\n'
    )
    text = text.replace("packages = [\n", "[[packages]]\n").split("[[packages]]")[0]
    text += 'extras = ["x"]\ndependency-groups = ["dev"]\ndefault-groups = []\n' + more
    text = text.replace("COMMIT", "c" * 40).replace("HASH", "0" * 64)
    text = text.replace("SEED", digest(world, "seed-1.0-py3-none-any.whl"))
    return write(world.root / "pylock.toml", text)


def requirements(world: World) -> Path:
    write(world.root / "more.txt", "-c requirements-c.txt\n")
    write(world.root / "requirements-c.txt", "fruit<2\n")
    fruit, seed = (digest(world, f"{n}-1.0-py3-none-any.whl") for n in ("fruit", "seed"))
    return write(world.root / "requirements.txt", REQUIREMENTS.format(fruit=fruit, seed=seed))


def foreign(world: World, *, name: str, manifest: bool) -> Path:
    shutil.rmtree(world.root)
    index = Index(folder=world.folder / "index", url="https://index.example/simple")
    index.folder.mkdir()
    root = locked_project(world.root, index, name)
    pinned = ("devtool-2.0", "fruit-1.0", "old-2.0", "seed-1.1")
    text = lock_text(*(index.folder / f"{name}-py3-none-any.whl" for name in pinned))
    (world.folder / "answer.toml").write_text(text, encoding="utf-8")
    return root / (SAMPLES[name][1] if manifest else name)


def pyproject(world: World) -> Path:
    (world.root / "shop").mkdir()
    write(world.root / "shop" / "__init__.py", "def main(): ...\n")
    return write(world.root / "pyproject.toml", PYPROJECT)


def uv_lock(world: World) -> Path:
    write(
        world.root / "pyproject.toml",
        '[project]\nname = "shop"\nversion = "1.0"\nrequires-python = ">=3.9"\n'
        'dependencies = ["fruit>=1"]\n',
    )
    return write(world.root / "uv.lock", UV_LOCK.replace("HASH", "0" * 64))


def record(world: World) -> Path:
    project = find_project(world.root, world.root)
    write(world.root / "requirements.txt", "fruit\n")
    settings = settings_of(project, entry_point=["main.py"], conf={"spark.a": "b"})
    (item,) = pack(project, settings, world.ports(), world.said.append)
    return item.path


def locked_wheel(world: World) -> Path:
    write(
        world.root / "pylock.toml",
        'lock-version = "1.0"\ncreated-by = "tests"\n[[packages]]\nname = "fruit"\n'
        'version = "1.0"\nwheels = [{ path = "fruit-1.0-py3-none-any.whl", hashes = {} }]\n'.replace(
            "hashes = {}", 'hashes = { md5 = "0" }'
        ),
    )
    return make_wheel(
        world.root,
        "fruit",
        files={
            "fruit/__init__.py": "X = 1\n",
            "fruit-1.0.data/scripts/run": "#!python\nprint(1)\n",
            "fruit-1.0.data/data/share/x": "x" * 4000,
            "fruit/stored.bin": "y" * 500,
        },
        requires=["seed; python_version < '3'"],
        requires_python=">=3.8",
        entry_points={"fruit": "fruit:main"},
        stored=["fruit/stored.bin"],
    )


def spoil_wheel(rng: random.Random, data: bytes) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return by_bytes(rng, data)
    if kind == 1:
        return by_fields(rng, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        contents = [(name, archive.read(name)) for name in archive.namelist()]
    if kind == 2:
        names = renamed(rng, [name for name, _ in contents])
        contents = [(name, text) for name, (_, text) in zip(names, contents, strict=True)]
    else:
        info = [i for i, (name, _) in enumerate(contents) if ".dist-info/" in name]
        for at in rng.sample(info, rng.choice((1, 1, 2))):
            name, text = contents[at]
            contents[at] = name, rng.choice((by_lines, by_bytes))(rng, text)
    out = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(out, "w") as archive:
        for name, text in contents:
            entry = zipfile.ZipInfo("placeholder")
            entry.filename = entry.orig_filename = name
            entry.external_attr = rng.choice((0o100644, 0o100755, 0o120777, 0o40755, 0, -1)) << 16
            entry.external_attr &= 0xFFFFFFFF
            entry.compress_type = rng.choice((0, 8, 8, 8, 12, 14))
            archive.writestr(entry, text)
    return out.getvalue()


def archive_of(entries: Sequence[Entry], world: World) -> Path:
    path = world.root / "env.tar.gz"
    path.write_bytes(gzip.compress(tar_bytes(entries), mtime=0))
    return path


def spoil_archive(rng: random.Random, data: bytes, *, entries: Sequence[Entry]) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return by_bytes(rng, data)
    if kind == 1:
        return gzip.compress(by_bytes(rng, gzip.decompress(data)), 1, mtime=0)
    names = [e.path for e in entries] if kind == 2 else renamed(rng, [e.path for e in entries])
    changed = []
    for name, entry in zip(names, entries, strict=True):
        text, link, type_ = entry.data, entry.link, entry.type
        if text and rng.random() < 0.2:
            text = rng.choice((by_lines, by_bytes))(rng, text)
        if link and rng.random() < 0.5:
            link = rng.choice((*NAMES, *LINES, name))
        if rng.random() < 0.05:
            type_ = rng.choice((b"1", b"2", b"3", b"4", b"6", b"7", b"S", b"x", b"L", b"?"))
        mode = rng.choice((entry.mode,) * 9 + (0, 0o7777, 0o4755))
        changed.append(Entry(path=name, data=text, mode=mode, type=type_, link=link))
    try:
        return gzip.compress(tar_bytes(changed, form=rng.choice((0, 1, 2))), 1, mtime=0)
    except (ValueError, UnicodeError):  # the form has no way to write that
        return by_bytes(rng, data)


def toml_form(rng: random.Random, data: bytes) -> bytes:
    return spoiled(rng, data, "toml")


def json_form(rng: random.Random, data: bytes) -> bytes:
    return spoiled(rng, data, "json")


def subjects(uv: str) -> tuple[Subject, ...]:
    """All of them; those that start uv for every input come last."""
    of_others = [
        Subject(
            name=f"{SAMPLES[name][1]} of {name}" if manifest else name,
            prepare=partial(foreign, name=name, manifest=manifest),
            spoil=json_form if name == "Pipfile.lock" and not manifest else toml_form,
            read=partial(packing, groups=[SAMPLES[name][2]]),
        )
        for name in SAMPLES
        for manifest in (False, True)
    ]
    archives = [
        Subject(
            name=f"archives ({kind})",
            prepare=partial(archive_of, entries),
            spoil=partial(spoil_archive, entries=entries),
            read=validating,
        )
        for kind, entries in (("environment", ENVIRONMENT), ("app", APP))
    ]
    return (
        Subject(name="pyproject.toml", prepare=pyproject, spoil=toml_form, read=packing),
        Subject(name="pylock.toml", prepare=pylock, spoil=toml_form, read=packing),
        Subject(name="uv.lock", prepare=uv_lock, spoil=toml_form, read=packing),
        *of_others,
        Subject(name="requirements.txt", prepare=requirements, spoil=by_any_line, read=packing),
        Subject(name="records", prepare=record, spoil=json_form, read=reading_record),
        Subject(name="wheels", prepare=locked_wheel, spoil=spoil_wheel, read=packing),
        *archives,
        *(
            Subject(
                name=f"{name}, read by uv",
                prepare=prepare,
                spoil=spoil,
                read=partial(packing, uv=uv),
                sound=False,
            )
            for name, prepare, spoil in (
                ("uv.lock", uv_lock, toml_form),
                ("requirements.txt", requirements, by_any_line),
            )
            if uv
        ),
    )


def by_any_line(rng: random.Random, data: bytes) -> bytes:
    return spoiled(rng, data, "lines")
