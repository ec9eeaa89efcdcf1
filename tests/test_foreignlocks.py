"""Locks of Poetry, PDM and Pipenv. The samples under `tests/locks` were written by the tools."""

import contextlib
import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.pylock import Package, PackageArchive, PackageDirectory, PackageVcs

from packager.errors import ConfigError
from packager.foreignlocks import READERS, ForeignLock, _poetry_hash, read_foreign
from packager.pipeline import pack
from packager.project import find_project
from packager.settings import Settings, resolve
from packager.target import Target
from tests.fakes import lock_text, world
from tests.foreign import LOCKS, SAMPLES
from tests.index import make_wheel

TARGET = resolve({"release": "emr-7.13.0"}, {}, {}, None).targets()[0]
OLDER = resolve({"release": "emr-7.13.0", "python": "3.9"}, {}, {}, None).targets()[0]
HASH = "sha256:" + "0" * 64
COMMIT = "c" * 40


def sample(name: str) -> tuple[str, str]:
    folder, manifest, _ = SAMPLES[name]
    return (LOCKS / folder / name).read_text(), (LOCKS / folder / manifest).read_text()


def read(
    name: str,
    text: str,
    manifest: str | None = None,
    *,
    target: Target = TARGET,
    extras: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
) -> ForeignLock:
    return read_foreign(Path("/shop") / name, text, manifest, target, extras=extras, groups=groups)


def refused(name: str, text: str, manifest: str | None = None, **chosen: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(name, text, manifest, **chosen)
    return caught.value


def pinned(lock: ForeignLock) -> list[str]:
    return [f"{pin.name}=={pin.version}" for pin in lock.pins]


# What the tools wrote.


def test_every_reader_has_a_sample() -> None:
    assert list(SAMPLES) == list(READERS)


@pytest.mark.parametrize("name", SAMPLES)
def test_only_what_the_target_runs_is_taken(name: str) -> None:
    lock = read(name, *sample(name))
    assert pinned(lock) == ["fruit==1.0", "old==2.0", "seed==1.1"]
    assert lock.packages == ()
    text = sample(name)[0]
    assert all(len(pin.hashes) == 1 and f"sha256:{min(pin.hashes)}" in text for pin in lock.pins)


@pytest.mark.parametrize("name", SAMPLES)
def test_groups_are_chosen(name: str) -> None:
    lock = read(name, *sample(name), groups=(SAMPLES[name][2],))
    assert pinned(lock) == ["devtool==2.0", "fruit==1.0", "old==2.0", "seed==1.1"]
    error = refused(name, *sample(name), groups=("nope",))
    assert error.what == f"/shop/{name} has no dependency group 'nope'"
    assert SAMPLES[name][2] in error.why


@pytest.mark.parametrize("name", ["poetry.lock", "pdm.lock"])
def test_extras_are_chosen(name: str) -> None:
    lock = read(name, *sample(name), extras=("Two",))
    assert pinned(lock) == ["extra-two==1.0", "fruit==1.0", "old==2.0", "seed==1.1"]
    both = read(name, *sample(name), extras=("one", "two"))
    assert pinned(both)[:2] == ["extra-one==1.0", "extra-two==1.0"]
    assert refused(name, *sample(name), extras=("six",)).why.startswith("it has ")


def test_a_pipfile_has_no_extras() -> None:
    assert refused("Pipfile.lock", *sample("Pipfile.lock"), extras=("one",)).why == "it has none"


def test_poetry_pins_a_version_for_each_python() -> None:
    lock = read("poetry.lock", *sample("poetry.lock"), target=OLDER)
    assert pinned(lock) == ["fruit==1.0", "old==1.0", "seed==1.1"]
    assert lock.indexes == ("https://index.example/simple",)


# Stale, and wrong.


@pytest.mark.parametrize("name", SAMPLES)
def test_a_lock_older_than_what_it_locks_is_stale(name: str) -> None:
    text, manifest = sample(name)
    changed = manifest.replace("fruit", "fruits")
    assert changed != manifest
    error = refused(name, text, changed)
    assert error.what == f"/shop/{name} is older than {SAMPLES[name][1]}"
    assert error.fix == f"run `{READERS[name][1]}`"


@pytest.mark.parametrize("name", SAMPLES)
def test_what_changes_no_dependency_leaves_a_lock_fresh(name: str) -> None:
    text, manifest = sample(name)
    assert pinned(
        read(
            name,
            text,
            f"{manifest}\n[tool.packager]\n# c\n".replace(
                "[tool.packager]", "[scripts]" if name == "Pipfile.lock" else "[tool.packager]"
            ),
        )
    )


def test_names_in_a_pipfile_may_be_written_otherwise() -> None:
    text, manifest = sample("Pipfile.lock")
    assert read("Pipfile.lock", text, manifest.replace("fruit", "Fruit")) == read(
        "Pipfile.lock", text, manifest
    )


def test_before_poetry_2_3_a_lock_did_not_cover_groups() -> None:
    text, manifest = sample("poetry.lock")
    table = tomllib.loads(manifest)
    assert table.pop("dependency-groups")
    without = manifest.replace('[dependency-groups]\ndev = ["devtool"]\n', "")
    stale = refused("poetry.lock", text, without)
    assert stale.what.endswith("is older than pyproject.toml")
    # Written without them, a lock is fresh for the file without them, and for Poetry 2.2 with them.
    old = _poetry_hash(tomllib.loads(without), groups=True)
    new = tomllib.loads(text)["metadata"]["content-hash"]
    rewritten = text.replace(new, old)
    refused("poetry.lock", rewritten, manifest)
    read("poetry.lock", rewritten.replace("Poetry 2.5.1", "Poetry 2.2.0"), manifest)


def test_a_lock_without_the_file_it_locks_is_taken_as_it_is() -> None:
    for name in SAMPLES:
        assert read(name, sample(name)[0]) == read(name, *sample(name))


@pytest.mark.parametrize(
    ("old", "new"), [("inherit_metadata", "cross_platform"), ("4.5.1", "3.1"), ("4.5.1", "5.0")]
)
def test_a_pdm_lock_without_groups_is_refused(old: str, new: str) -> None:
    error = refused("pdm.lock", sample("pdm.lock")[0].replace(old, new))
    assert error.fix == "lock again: pdm lock --strategy inherit_metadata"


def test_an_old_poetry_lock_is_refused() -> None:
    text = sample("poetry.lock")[0].replace('lock-version = "2.1"', 'lock-version = "2.0"')
    assert refused("poetry.lock", text).fix == "lock again with Poetry 2: poetry lock"


def test_lock_inputs_of_pdm_are_not_judged() -> None:
    text, manifest = sample("pdm.lock")
    text = text.replace("content_hash =", "lock_inputs = {}\nanother =")
    assert pinned(read("pdm.lock", text, manifest.replace("fruit", "fruits")))


def test_a_workspace_of_pdm_is_not_judged() -> None:
    text, manifest = sample("pdm.lock")
    changed = manifest.replace("fruit", "fruits") + "[tool.pdm.workspace]\nmembers = []\n"
    assert pinned(read("pdm.lock", text, changed))


# What else a lock may have.


def poetry(*packages: str) -> str:
    return "\n".join(
        [*packages, "[extras]", 'gpu = ["x"]', 'cpu = ["y"]', "[metadata]", 'lock-version = "2.1"']
    )


def package(name: str, more: str = "", source: str = "", groups: str = '["main"]') -> str:
    return f'[[package]]\nname = "{name}"\nversion = "1.0"\ngroups = {groups}\n{more}\n' + (
        f"[package.source]\n{source}\n" if source else ""
    )


FILES = f'files = [{{file = "x-1.0.tar.gz", hash = "{HASH}"}}]'
ARCHIVE = PackageArchive(url="https://h/x-1.0.tar.gz", hashes={"sha256": "0" * 64})
REPOSITORY = PackageVcs(type="git", url="https://h/x", commit_id=COMMIT, subdirectory="sub")

PLACES: list[tuple[str, str, Package]] = [
    (
        "poetry.lock",
        poetry(package("x", "", 'type = "directory"\nurl = "../x"')),
        Package(name="x", directory=PackageDirectory(path="../x")),  # type: ignore[arg-type]
    ),
    (
        "poetry.lock",
        poetry(package("x", FILES, 'type = "url"\nurl = "https://h/x-1.0.tar.gz"')),
        Package(name="x", archive=ARCHIVE),  # type: ignore[arg-type]
    ),
    (
        "poetry.lock",
        poetry(package("x", FILES, 'type = "file"\nurl = "x-1.0.tar.gz"')),
        Package(
            name="x",  # type: ignore[arg-type]
            archive=PackageArchive(path="x-1.0.tar.gz", hashes={"sha256": "0" * 64}),
        ),
    ),
    (
        "poetry.lock",
        poetry(
            package(
                "x",
                "",
                f'type = "git"\nurl = "https://h/x"\nresolved_reference = "{COMMIT}"\n'
                'reference = "main"\nsubdirectory = "sub"',
            )
        ),
        Package(name="x", vcs=REPOSITORY),  # type: ignore[arg-type]
    ),
]


def pdm(more: str) -> str:
    return (
        '[metadata]\nlock_version = "4.5"\nstrategy = ["inherit_metadata"]\ngroups = ["default"]\n'
        f'[[package]]\nname = "x"\nversion = "1.0"\ngroups = ["default"]\n{more}\n'
    )


def pipenv(row: dict[str, Any], **sections: Any) -> str:
    return json.dumps({"_meta": {"sources": []}, "default": {"x": row}, **sections})


PLACES += [
    ("pdm.lock", pdm('path = "../x"\neditable = true'), PLACES[0][2]),
    ("pdm.lock", pdm(f'url = "https://h/x-1.0.tar.gz"\n{FILES}'), PLACES[1][2]),
    ("pdm.lock", pdm(f'path = "x-1.0.tar.gz"\n{FILES}'), PLACES[2][2]),
    (
        "pdm.lock",
        pdm(f'git = "https://h/x"\nrevision = "{COMMIT}"\nref = "v1"\nsubdirectory = "sub"'),
        PLACES[3][2],
    ),
    ("Pipfile.lock", pipenv({"path": "../x", "editable": True}), PLACES[0][2]),
    (
        "Pipfile.lock",
        pipenv({"file": "https://h/x-1.0.tar.gz", "hashes": [HASH]}),
        PLACES[1][2],
    ),
    ("Pipfile.lock", pipenv({"path": "x-1.0.tar.gz", "hashes": [HASH]}), PLACES[2][2]),
    (
        "Pipfile.lock",
        pipenv({"git": "https://h/x", "ref": COMMIT, "subdirectory": "sub"}),
        PLACES[3][2],
    ),
]


@pytest.mark.parametrize(("name", "text", "wanted"), PLACES)
def test_packages_from_elsewhere_say_where(name: str, text: str, wanted: Package) -> None:
    lock = read(name, text)
    assert lock.packages == (wanted,)
    assert lock.pins == ()


def test_pdm_may_know_the_urls_of_files() -> None:
    urls = ("https://h/x-1.0-py3-none-any.whl", "https://h/x-1.0.tar.gz")
    files = ", ".join(f'{{url = "{url}#sha256", hash = "{HASH}"}}' for url in urls)
    (found,) = read("pdm.lock", pdm(f"files = [{files}]")).packages
    assert found.wheels is not None
    assert found.sdist is not None
    assert (found.wheels[0].url, found.sdist.url) == urls


def test_a_second_index_of_a_pipfile_is_asked_too() -> None:
    sources = [{"name": n, "url": f"https://{n}.example/simple"} for n in ("one", "two")]
    text = pipenv(
        {"version": "==1.0", "hashes": [HASH], "index": "two"}, _meta={"sources": sources}
    )
    assert read("Pipfile.lock", text).indexes == ("https://two.example/simple",)
    first = text.replace('"index": "two"', '"index": "one"')
    assert read("Pipfile.lock", first).indexes == ()


def test_markers_of_a_group_count_for_that_group_alone() -> None:
    markers = "markers = {main = \"sys_platform == 'win32'\", dev = \"python_version > '3'\"}"
    text = poetry(package("x", f"{markers}\n{FILES}", groups='["main", "dev"]'))
    assert pinned(read("poetry.lock", text)) == []
    assert pinned(read("poetry.lock", text, groups=("dev",))) == ["x==1.0"]


def test_extras_that_exclude_each_other() -> None:
    other = package("x", FILES + '\nmarkers = \'extra == "cpu" and extra != "gpu"\'')
    text = poetry(
        package("x", FILES + "\nmarkers = 'extra == \"gpu\"'"), other.replace("1.0", "2.0")
    )
    assert pinned(read("poetry.lock", text, extras=("cpu",))) == ["x==2.0"]
    assert pinned(read("poetry.lock", text, extras=("gpu",))) == ["x==1.0"]
    assert pinned(read("poetry.lock", text, extras=("cpu", "gpu"))) == ["x==1.0"]
    error = refused(
        "poetry.lock",
        text.replace(' and extra != \\"gpu\\"', "").replace(' and extra != "gpu"', ""),
        extras=("cpu", "gpu"),
    )
    assert error.what == "/shop/poetry.lock has x twice for emr-7.13.0: 1.0 and 2.0"
    assert "exclude each other" in error.why


BROKEN: list[tuple[str, str, str]] = [
    ("poetry.lock", "[[", "it is not TOML"),
    ("poetry.lock", "x = 1", "`lock-version` is not a text"),
    ("poetry.lock", poetry("package = 1"), "`package` is not a list of tables"),
    ("poetry.lock", poetry(package("-", FILES)), "name is invalid"),
    ("poetry.lock", poetry(package("x", FILES).replace("1.0", "one", 1)), "one"),
    ("poetry.lock", poetry(package("x", "markers = 1")), "`markers` is not a text"),
    ("poetry.lock", poetry(package("x", "markers = 'when'")), "when"),
    ("poetry.lock", poetry(package("x", "", 'type = "cvs"')), "x comes from 'cvs'"),
    (
        "poetry.lock",
        poetry(package("x", "", 'type = "url"\nurl = "https://h/x.zip"')),
        "no SHA-256",
    ),
    ("poetry.lock", poetry(package("x", FILES, 'url = "https://h/ -r x"')), "is not a URL"),
    (
        "poetry.lock",
        poetry(package("x", "", 'type = "git"\nurl = "h"\nresolved_reference = "main"')),
        "'main', which is not the id of a commit",
    ),
    ("pdm.lock", pdm("files = 1"), "`files` is not a list of tables"),
    ("pdm.lock", pdm('files = [{url = "https://h/x.whl", hash = "md5:1"}]'), "no SHA-256"),
    ("Pipfile.lock", "{", "it is not JSON"),
    ("Pipfile.lock", "[]", "it is not a table"),
    ("Pipfile.lock", pipenv({}), "`version` of x is not a text"),
    ("Pipfile.lock", pipenv({"version": "*"}), "the version of x is '*', which pins nothing"),
    ("Pipfile.lock", pipenv({"hashes": 1}), "`hashes` is not a list of texts"),
]


@pytest.mark.parametrize(("name", "text", "why"), BROKEN)
def test_a_wrong_lock_is_told_apart_from_a_stale_one(name: str, text: str, why: str) -> None:
    error = refused(name, text)
    assert error.what == f"/shop/{name} is not a lock that can be read"
    assert why.lower() in error.why.lower()
    assert error.fix == f"lock again: {READERS[name][1]}"


def test_a_pin_without_a_hash_is_refused() -> None:
    error = refused("Pipfile.lock", pipenv({"version": "==1.0"}))
    assert error.what == "/shop/Pipfile.lock has no SHA-256 of x"
    assert refused("pdm.lock", pdm("")).what == "/shop/pdm.lock has no SHA-256 of x"


# Whatever a lock says, the answer is one or the other.

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        [
            "",
            "x",
            "1.0",
            "==1.0",
            HASH,
            COMMIT,
            "main",
            "default",
            "git",
            "url",
            "sys_platform == 'x'",
            "extra == 'x'",
            "https://h/x.whl",
            "2.1",
            "4.5",
            "inherit_metadata",
        ]
    )
)
KEYS = st.sampled_from(
    [
        "name",
        "version",
        "groups",
        "markers",
        "marker",
        "files",
        "hash",
        "hashes",
        "file",
        "url",
        "git",
        "ref",
        "revision",
        "path",
        "index",
        "source",
        "type",
        "subdirectory",
        "main",
    ]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
ROWS = st.lists(st.dictionaries(KEYS, VALUES, max_size=6), max_size=3)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(v) for v in value if v is not None) + "]"
    return json.dumps(value)


@settings(max_examples=50, deadline=None)
@given(ROWS, VALUES, st.sampled_from(list(SAMPLES)), st.booleans())
def test_any_document_is_read_or_refused(
    rows: list[dict[str, Any]], other: Any, name: str, fuzz_metadata: bool
) -> None:
    metadata: Any = {
        "lock-version": "2.1",
        "lock_version": "4.5",
        "strategy": ["inherit_metadata"],
        "groups": ["default", "x"],
    }
    if name == "Pipfile.lock":
        document = {"_meta": other if fuzz_metadata else {}}
        text = json.dumps({**document, "default": {str(n): row for n, row in enumerate(rows)}})
    else:
        metadata = other if fuzz_metadata and other is not None else metadata
        text = f"package = {toml(rows)}\nmetadata = {toml(metadata)}\n"
    try:
        lock = read(name, text)
    except ConfigError:
        return
    assert all(pin.hashes for pin in lock.pins)
    for index in lock.indexes:
        assert not set(index) & set(" \n\r\t")


@settings(max_examples=25, deadline=None)
@given(st.text(), st.sampled_from(list(SAMPLES)))
def test_any_text_is_read_or_refused(text: str, name: str) -> None:
    refused(name, text)
    with contextlib.suppress(ConfigError):
        read(name, sample(name)[0], text)


# In a pack.


def test_what_emr_brings_is_left_out_and_never_asked_for(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", "x")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    rows = {name: {"version": "==1.0", "hashes": [f"sha256:{digest}"]} for name in ("x", "PySpark")}
    root = tmp_path / "job"
    root.mkdir()
    (root / "main.py").touch()
    (root / "Pipfile.lock").write_text(json.dumps({"_meta": {}, "default": rows}))
    outside = world(tmp_path / "store")
    outside.resolver.text = lock_text(wheel)
    chosen = Settings(release="emr-7.13.0", locked=True)
    for _ in range(2):
        (item,) = pack(find_project(root, root), chosen, outside.ports, outside.said.append)
        assert item.record.dropped == ("pyspark",)
        assert [w.name for w in item.record.wheels] == ["x"]
        assert item.record.lock == "Pipfile.lock"
    assert outside.resolver.found == [("x==1.0",)]


def test_a_file_that_the_lock_does_not_know_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "job"
    root.mkdir()
    (root / "Pipfile.lock").write_text(pipenv({"version": "==1.0", "hashes": [HASH]}))
    outside = world(tmp_path / "store")
    outside.resolver.text = lock_text(make_wheel(tmp_path / "wheels", "x"))
    chosen = Settings(release="emr-7.13.0")
    for _ in range(2):  # and nothing is remembered of it
        with pytest.raises(ConfigError) as caught:
            pack(find_project(root, root), chosen, outside.ports, outside.said.append)
        assert caught.value.what.startswith("the hashes of x 1.0 in")
    assert len(outside.resolver.found) == 2


def test_a_broken_pipfile_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "Pipfile").write_text("[packages]\nx =\n")
    (tmp_path / "Pipfile.lock").write_text(pipenv({"version": "==1.0", "hashes": [HASH]}))
    outside = world(tmp_path / "store")
    with pytest.raises(ConfigError) as caught:
        pack(
            find_project(tmp_path, tmp_path),
            Settings(release="emr-7.13.0"),
            outside.ports,
            outside.said.append,
        )
    assert caught.value.what == f"{tmp_path / 'Pipfile'} is not valid TOML"
    assert "line 2" in caught.value.why


@pytest.mark.parametrize("name", SAMPLES)
def test_a_hash_that_is_no_text_is_none(name: str) -> None:
    text, manifest = sample(name)
    spoilt = re.sub(
        r'(content-hash = |content_hash = |"sha256": )"[^"]*"', r"\g<1>[]", text, count=1
    )
    assert spoilt != text
    assert "is older than" in refused(name, spoilt, manifest).what
