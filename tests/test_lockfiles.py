"""From lock texts to the files of a target: what is chosen, what is missing, what is refused."""

import contextlib
import hashlib
import json
import random
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.errors import ConfigError, PackagerError
from packager.lockfiles import (
    Missing,
    Pin,
    Selection,
    Source,
    missing_error,
    provided_among,
    requirement_hashes,
    requirement_lines,
    select,
)
from packager.releases import Release
from packager.target import ARCHES, PROVIDED, Target
from tests.archives import RELEASE

LAW = settings(max_examples=60, deadline=None)
AL2 = replace(RELEASE, label="emr-6.15.0", glibc=(2, 26), python="3.7")
ORIGIN = Path("/project/uv.lock")
BASE = Path("/project")
SHA = {letter: hashlib.sha256(letter.encode()).hexdigest() for letter in "abcdef"}


def on(python: str = "3.11", arch: str = "amd64", release: Release = RELEASE) -> Target:
    return Target(release=release, arch=ARCHES[arch], python=python)


def wheel(filename: str, **more: object) -> dict[str, object]:
    hashes = {"sha256": hashlib.sha256(filename.encode()).hexdigest()}
    return {"name": filename, "url": f"https://index.test/{filename}", "hashes": hashes, **more}


def package(
    name: str,
    *tags: str,
    version: str = "1.0",
    sdist: bool = False,
    **more: object,
) -> dict[str, object]:
    """A package with wheels of these tags."""
    module = name.replace("-", "_")
    found: dict[str, object] = {"name": name, "version": version, **more}
    if tags:
        found["wheels"] = [wheel(f"{module}-{version}-{tag}.whl") for tag in tags]
    if sdist:
        found["sdist"] = wheel(f"{module}-{version}.tar.gz")
    return found


def lock(*packages: Mapping[str, object], **more: object) -> str:
    document = {"lock-version": "1.0", "created-by": "tests", **more, "packages": list(packages)}
    return toml(document)


def toml(document: Mapping[str, object]) -> str:
    return "".join(f"{_toml(key)} = {_toml(value)}\n" for key, value in document.items())


def _toml(value: object) -> str:
    match value:
        case Mapping():
            return "{" + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def chosen(
    text: str,
    target: Target | None = None,
    *,
    extras: Collection[str] = (),
    groups: Collection[str] | None = None,
    hashes: Mapping[str, frozenset[str]] | None = None,
) -> Selection:
    return select(
        text,
        target or on(),
        origin=ORIGIN,
        base=BASE,
        extras=extras,
        groups=groups,
        hashes=hashes,
    )


def files(text: str, target: Target | None = None) -> list[str]:
    return [pin.filename for pin in chosen(text, target).pins]


def refused(text: str, target: Target | None = None, **options: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        chosen(text, target, **options)
    return caught.value


# What is chosen.

NUMPY = package(
    "numpy",
    "cp37-cp37m-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp39-cp39-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp39-cp39-manylinux_2_17_aarch64.manylinux2014_aarch64",
    "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp311-cp311-manylinux_2_28_aarch64",
    "cp311-cp311-musllinux_1_2_x86_64",
    "cp311-cp311-macosx_11_0_arm64",
    "cp311-cp311-win_amd64",
    sdist=True,
)


@pytest.mark.parametrize(
    ("target", "tag"),
    [
        (on("3.7", release=AL2), "cp37-cp37m-manylinux_2_17_x86_64.manylinux2014_x86_64"),
        (on("3.9"), "cp39-cp39-manylinux_2_17_x86_64.manylinux2014_x86_64"),
        (on("3.9", "arm64"), "cp39-cp39-manylinux_2_17_aarch64.manylinux2014_aarch64"),
        (on("3.11"), "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"),
        (on("3.11", "arm64"), "cp311-cp311-manylinux_2_28_aarch64"),
    ],
)
def test_the_wheel_of_the_target_is_chosen(target: Target, tag: str) -> None:
    filename = f"numpy-1.0-{tag}.whl"
    assert chosen(lock(NUMPY), target) == Selection(
        pins=(
            Pin(
                name="numpy",
                version="1.0",
                filename=filename,
                location=f"https://index.test/{filename}",
                sha256=hashlib.sha256(filename.encode()).hexdigest(),
            ),
        ),
        sources=(),
        missing=(),
        dropped=(),
    )


@pytest.mark.parametrize(
    ("tags", "best"),
    [
        (("py3-none-any", "cp311-cp311-manylinux2014_x86_64"), "cp311-cp311-manylinux2014_x86_64"),
        (("cp38-abi3-manylinux1_x86_64", "py3-none-any"), "cp38-abi3-manylinux1_x86_64"),
        (
            ("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_28_x86_64"),
            "cp311-cp311-manylinux_2_28_x86_64",
        ),
        (("py2.py3-none-any", "py311-none-any"), "py311-none-any"),
        (("1-py3-none-any", "2-py3-none-any", "py3-none-any"), "2-py3-none-any"),
    ],
)
def test_the_best_of_several_wheels_is_chosen(tags: tuple[str, ...], best: str) -> None:
    assert files(lock(package("x", *tags))) == [f"x-1.0-{best}.whl"]


def test_markers_choose_by_the_target() -> None:
    text = lock(
        package("old", "py3-none-any", marker="python_version < '3.8'"),
        package("arm", "py3-none-any", marker="platform_machine == 'aarch64'"),
        package("windows", "py3-none-any", marker="sys_platform == 'win32'"),
        package("everywhere", "py3-none-any", marker="sys_platform == 'linux'"),
    )
    assert [p.name for p in chosen(text, on("3.7", release=AL2)).pins] == ["everywhere", "old"]
    assert [p.name for p in chosen(text, on("3.9", "arm64")).pins] == ["arm", "everywhere"]
    assert [p.name for p in chosen(text, on("3.11")).pins] == ["everywhere"]


def test_versions_that_markers_keep_apart_are_no_conflict() -> None:
    text = lock(
        package("x", "py3-none-any", version="1.0", marker="python_version < '3.10'"),
        package("x", "py3-none-any", version="2.0", marker="python_version >= '3.10'"),
    )
    assert files(text, on("3.9")) == ["x-1.0-py3-none-any.whl"]
    assert files(text, on("3.11")) == ["x-2.0-py3-none-any.whl"]


def test_extras_and_groups_choose() -> None:
    text = lock(
        package("base", "py3-none-any"),
        package("plots", "py3-none-any", marker="'plots' in extras"),
        package("dev", "py3-none-any", marker="'dev' in dependency_groups"),
        package("main", "py3-none-any", marker="'main' in dependency_groups"),
        **{"extras": ["plots"], "dependency-groups": ["dev", "main"], "default-groups": ["main"]},
    )
    assert [p.name for p in chosen(text).pins] == ["base", "main"]
    assert [p.name for p in chosen(text, extras=["Plots"]).pins] == ["base", "main", "plots"]
    assert [p.name for p in chosen(text, groups=["dev"]).pins] == ["base", "dev"]


def test_extras_and_groups_that_the_lock_does_not_have_are_refused() -> None:
    text = lock(package("base", "py3-none-any"), extras=["plots"])
    error = refused(text, extras=["plot"])
    assert (error.what, error.why) == (f"{ORIGIN} has no extra 'plot'", "it has plots")
    error = refused(text, groups=["dev"])
    assert (error.what, error.why) == (f"{ORIGIN} has no dependency group 'dev'", "it has none")


def test_what_emr_provides_is_dropped_and_told() -> None:
    text = lock(
        package("py4j", "py2.py3-none-any"),
        package("pyspark", sdist=True),
        package("pyspark-extension", "py3-none-any"),
    )
    selection = chosen(text)
    assert selection.dropped == ("py4j", "pyspark")
    assert [pin.name for pin in selection.pins] == ["pyspark-extension"]
    assert selection.sources == ()
    assert {"py4j", "pyspark"} <= PROVIDED


def test_paths_start_at_the_base_and_sizes_are_kept() -> None:
    local = wheel("x-1.0-py3-none-any.whl", path="libs/x-1.0-py3-none-any.whl", size=17)
    (pin,) = chosen(lock({"name": "x", "wheels": [local]})).pins
    assert (pin.location, pin.size) == ("/project/libs/x-1.0-py3-none-any.whl", 17)
    assert pin.version == "1.0"


# Direct references.


def archive(location: str, **more: object) -> dict[str, object]:
    kind = "url" if "://" in location else "path"
    return {kind: location, "hashes": {"sha256": SHA["a"]}, **more}


@pytest.mark.parametrize(
    "location",
    [
        "https://files.test/torch-2.1.0%2Bcpu-cp311-cp311-linux_x86_64.whl",
        "https://files.test/torch-2.1.0+cpu-cp311-cp311-linux_x86_64.whl?signed=a/b#sha256=00",
        "wheels/torch-2.1.0+cpu-cp311-cp311-linux_x86_64.whl",
    ],
)
def test_a_wheel_that_is_named_directly_is_a_pin(location: str) -> None:
    text = lock({"name": "torch", "version": "2.1.0+cpu", "archive": archive(location)})
    (pin,) = chosen(text).pins
    assert pin == Pin(
        name="torch",
        version="2.1.0+cpu",
        filename="torch-2.1.0+cpu-cp311-cp311-linux_x86_64.whl",
        location=location.partition("#")[0] if "://" in location else f"/project/{location}",
        sha256=SHA["a"],
    )


def test_a_wheel_that_is_named_directly_but_for_another_target_is_missing() -> None:
    name = "torch-2.1.0-cp39-cp39-linux_x86_64.whl"
    selection = chosen(lock({"name": "torch", "archive": archive(f"https://files.test/{name}")}))
    assert selection.pins == ()
    assert [(m.name, m.version, m.available) for m in selection.missing] == [
        ("torch", "2.1.0", (name,))
    ]


def test_a_wheel_that_is_named_directly_and_badly_is_refused() -> None:
    error = refused(lock({"name": "x", "archive": archive("https://files.test/x.whl")}))
    assert str(ORIGIN) in error.what
    assert "wheel filename" in error.why


def test_sources_have_to_be_built() -> None:
    text = lock(
        package("released", sdist=True),
        {"name": "url", "version": "3", "archive": archive("https://files.test/url-3.zip")},
        {"name": "file", "archive": archive("libs/file-1.tar.gz")},
        {"name": "folder", "directory": {"path": "libs/folder", "editable": True}},
        {"name": "mono", "directory": {"path": "../mono", "subdirectory": "python"}},
    )
    assert chosen(text).sources == (
        Source(name="file", version=None, location="/project/libs/file-1.tar.gz", sha256=SHA["a"]),
        Source(name="folder", version=None, location="/project/libs/folder", sha256=None),
        Source(name="mono", version=None, location="/project/../mono/python", sha256=None),
        Source(
            name="released",
            version="1.0",
            location="https://index.test/released-1.0.tar.gz",
            sha256=hashlib.sha256(b"released-1.0.tar.gz").hexdigest(),
        ),
        # No index knows what is found at a URL, so none is asked for its other files.
        Source(name="url", version=None, location="https://files.test/url-3.zip", sha256=SHA["a"]),
    )


def test_a_commit_and_a_folder_of_an_archive_are_built() -> None:
    commit = "c" * 40
    text = lock(
        {"name": "x", "vcs": {"type": "git", "url": "https://git.test/x", "commit-id": commit}},
        {
            "name": "y",
            "vcs": {"type": "git", "path": "../y", "commit-id": commit, "subdirectory": "python"},
        },
        {"name": "z", "archive": archive("https://files.test/z.zip", subdirectory="python")},
    )
    for hashes in (None, {"z": frozenset({SHA["a"]})}):
        assert chosen(text, hashes=hashes).sources == (
            Source(
                name="x", version=None, location="https://git.test/x", sha256=None, commit=commit
            ),
            Source(
                name="y",
                version=None,
                location="/project/../y",
                sha256=None,
                commit=commit,
                subdirectory="python",
            ),
            Source(
                name="z",
                version=None,
                location="https://files.test/z.zip",
                sha256=SHA["a"],
                subdirectory="python",
            ),
        )


@pytest.mark.parametrize(
    ("kind", "commit", "what"),
    [
        ("hg", "c" * 40, "x comes from a repository (hg)"),
        ("git", "main", f"{ORIGIN} does not name the commit of x"),
        ("git", "--upload-pack=x", f"{ORIGIN} does not name the commit of x"),
    ],
)
def test_what_may_move_is_refused(kind: str, commit: str, what: str) -> None:
    vcs = {"type": kind, "url": "https://git.test/x", "commit-id": commit}
    assert refused(lock({"name": "x", "vcs": vcs})).what == what


@pytest.mark.parametrize("folder", ["..", "a/../..", "/etc"])
def test_a_folder_outside_of_its_archive_is_refused(folder: str) -> None:
    source = archive("https://files.test/mono.zip", subdirectory=folder)
    error = refused(lock({"name": "x", "archive": source}))
    assert error.what.startswith(f"the folder {folder} of x lies outside")


# What is missing.


def test_all_packages_without_a_wheel_are_found_at_once() -> None:
    text = lock(
        package("good", "py3-none-any"),
        package("mac", "cp311-cp311-macosx_11_0_arm64", "cp311-cp311-macosx_11_0_x86_64"),
        package("amd", "cp311-cp311-manylinux2014_x86_64", sdist=True),
        package("new", "cp311-cp311-manylinux_2_38_aarch64", version="2.0"),
    )
    selection = chosen(text, on(arch="arm64"))
    assert [pin.name for pin in selection.pins] == ["good"]
    assert selection.sources == ()
    source = selection.missing[0].source
    assert source is not None
    assert source.location.endswith("/amd-1.0.tar.gz")
    where = "emr-7.13.0 arm64 Python 3.11"
    assert selection.missing == (
        Missing(
            name="amd",
            version="1.0",
            target=where,
            available=("amd-1.0-cp311-cp311-manylinux2014_x86_64.whl",),
            source=selection.missing[0].source,
        ),
        Missing(
            name="mac",
            version="1.0",
            target=where,
            available=(
                "mac-1.0-cp311-cp311-macosx_11_0_arm64.whl",
                "mac-1.0-cp311-cp311-macosx_11_0_x86_64.whl",
            ),
        ),
        Missing(
            name="new",
            version="2.0",
            target=where,
            available=("new-2.0-cp311-cp311-manylinux_2_38_aarch64.whl",),
        ),
    )
    error = missing_error(selection.missing)
    assert error.what == "no wheel for the target: amd, mac, new"
    assert error.why.split("\n       ") == [
        f"amd 1.0 for {where}: there are cp311-cp311-manylinux2014_x86_64",
        (
            f"mac 1.0 for {where}: there are cp311-cp311-macosx_11_0_arm64,"
            " cp311-cp311-macosx_11_0_x86_64"
        ),
        f"new 2.0 for {where}: there are cp311-cp311-manylinux_2_38_aarch64",
    ]


def test_of_many_wheels_those_for_linux_are_told() -> None:
    names = [f"x-1.0-cp3{minor}-cp3{minor}-manylinux2014_x86_64.whl" for minor in range(12, 18)]
    names += ["x-1.0-cp311-cp311-win_amd64.whl"]
    missing = Missing(name="x", version="1.0", target="here", available=tuple(names))
    assert missing_error([missing]).why == (
        "x 1.0 for here: there are cp312-cp312-manylinux2014_x86_64,"
        " cp313-cp313-manylinux2014_x86_64, cp314-cp314-manylinux2014_x86_64,"
        " cp315-cp315-manylinux2014_x86_64 and 2 others"
    )


@pytest.mark.parametrize(
    ("note", "told"), [("", "it has no wheels at all"), ("its source is C", "its source is C")]
)
def test_a_package_without_wheels_is_told_with_its_note(note: str, told: str) -> None:
    missing = Missing(name="x", version="", target="here", available=(), note=note)
    assert missing_error([missing, missing]).what == "no wheel for the target: x"
    assert missing_error([missing]).why == f"x for here: {told}"


# Hashes.


def test_only_files_with_an_allowed_hash_are_chosen() -> None:
    text = lock(package("x", "py3-none-any", "cp311-cp311-manylinux2014_x86_64", sdist=True))
    allowed = hashlib.sha256(b"x-1.0-py3-none-any.whl").hexdigest()
    selection = chosen(text, hashes={"x": frozenset({allowed, SHA["a"]})})
    assert [pin.filename for pin in selection.pins] == ["x-1.0-py3-none-any.whl"]


def test_an_allowed_source_without_an_allowed_wheel_is_built() -> None:
    text = lock(package("x", "py3-none-any", sdist=True))
    allowed = hashlib.sha256(b"x-1.0.tar.gz").hexdigest()
    selection = chosen(text, hashes={"x": frozenset({allowed})})
    assert [source.sha256 for source in selection.sources] == [allowed]


def test_a_package_without_a_hash_among_others_is_refused() -> None:
    text = lock(package("x", "py3-none-any"), package("y", "py3-none-any"))
    allowed = frozenset({hashlib.sha256(b"x-1.0-py3-none-any.whl").hexdigest()})
    error = refused(text, hashes={"x": allowed})
    assert error.what == f"{ORIGIN} has no hash for y"


@pytest.mark.parametrize(
    "entry",
    [
        package("x", "py3-none-any", sdist=True),
        {"name": "x", "version": "1.0", "archive": archive("https://files.test/x-1.0.zip")},
        {"name": "x", "archive": archive("https://files.test/x-1.0-py3-none-any.whl")},
    ],
)
def test_hashes_that_no_file_has_are_refused(entry: Mapping[str, object]) -> None:
    error = refused(lock(entry), hashes={"x": frozenset({SHA["b"]})})
    assert error.what == f"the hashes of x 1.0 in {ORIGIN} do not match"


def test_folders_have_no_hashes() -> None:
    text = lock({"name": "x", "directory": {"path": "libs/x"}})
    assert [s.name for s in chosen(text, hashes={"y": frozenset({SHA["a"]})}).sources] == ["x"]


@pytest.mark.parametrize(
    "entry",
    [
        {
            "name": "x",
            "version": "1.0",
            "wheels": [wheel("x-1.0-py3-none-any.whl", hashes={"md5": "00"})],
        },
        {"name": "x", "version": "1.0", "sdist": wheel("x-1.0.tar.gz", hashes={"md5": "00"})},
    ],
)
def test_a_download_without_a_sha256_is_refused(entry: Mapping[str, object]) -> None:
    error = refused(lock(entry))
    assert error.what == f"{ORIGIN} has no SHA-256 of x 1.0"
    assert error.why == "it has md5, by which it is not checked here"


# Locks that are broken or for another Python.


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lock-version = 1.0.0", "line 1, column 19"),
        ("", "lock-version"),
        (lock({"name": "x"}), "packages[0]"),
        (lock(package("X", "py3-none-any")), "packages[0].name"),
        (lock(package("x", "py3-none-any"), package("y", "py3")), "packages[1].wheels[0]"),
        (lock(package("x", "py3-none-any", version="one")), "packages[0].version"),
        (lock(package("x", "py3-none-any", marker="python is 3")), "packages[0].marker"),
        (lock({"name": "x", "wheels": [{"name": "x-1-py3-none-any.whl"}]}), "wheels[0].hashes"),
        (lock().replace("[]", "1"), "packages"),
        (lock(**{"lock-version": "2.0"}), "2.0"),
        (lock(package("x", "py3-none-any"), package("x", "py3-none-any")), "'x'"),
        (lock(package("x", "py3-none-any") | {"requires-python": ">=3.12"}), ">=3.12"),
        (lock(**{"requires-python": ">=3.12"}), ">=3.12"),
        (lock(environments=["sys_platform == 'win32'"]), "environments"),
    ],
)
def test_a_lock_that_can_not_be_used_is_told_with_the_place(text: str, why: str) -> None:
    error = refused(text)
    assert error.what == f"{ORIGIN} can not be used for emr-7.13.0 with Python 3.11"
    assert why in error.why


# Laws.

TAGS = (
    "py3-none-any",
    "1-py3-none-any",
    "2-py3-none-any",
    "py2.py3-none-any",
    "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp311-cp311-manylinux_2_28_x86_64",
    "cp38-abi3-manylinux1_x86_64",
    "cp311-cp311-manylinux_2_17_aarch64",
    "cp311-cp311-win_amd64",
)
PACKAGES = st.lists(
    st.builds(
        lambda name, tags, sdist: package(name, *tags, sdist=sdist or not tags),
        st.sampled_from(["a", "b", "c", "pyspark"]),
        st.lists(st.sampled_from(TAGS), unique=True),
        st.booleans(),
    ),
    unique_by=lambda p: str(p["name"]),
)


@LAW
@given(packages=PACKAGES, seed=st.integers(), arch=st.sampled_from(list(ARCHES)))
def test_order_never_matters(packages: list[dict[str, Any]], seed: int, arch: str) -> None:
    def sorted_out(selection: Selection) -> Selection:
        found = (replace(m, available=tuple(sorted(m.available))) for m in selection.missing)
        return replace(selection, missing=tuple(found))

    shuffled = random.Random(seed)  # an order, not a secret
    other = [
        {**p, "wheels": shuffled.sample(p["wheels"], len(p["wheels"]))} if "wheels" in p else p
        for p in shuffled.sample(packages, len(packages))
    ]
    target = on(arch=arch)
    assert sorted_out(chosen(lock(*packages), target)) == sorted_out(chosen(lock(*other), target))


VALUES = st.recursive(
    st.sampled_from(
        ["", "x", "1.0", "pyspark", "x-1.0-py3-none-any.whl", "x.whl", "https://[x", "../x"]
    )
    | st.sampled_from(["python_version ~= 'a'", "'x' in extras", "os_name < '3'", "extra == 'x'"])
    | st.text(max_size=5)
    | st.integers(-1, 99)
    | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["name", "url", "path", "hashes", "sha256", "version"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=4,
)
WHOLE: dict[str, Any] = {
    "lock-version": "1.0",
    "created-by": "tests",
    "requires-python": ">=3.9",
    "environments": ["sys_platform == 'linux'"],
    "extras": ["e"],
    "packages": [
        package("x", "py3-none-any", marker="python_version > '3'", sdist=True),
        {"name": "y", "archive": archive("https://files.test/y-1.0-py3-none-any.whl")},
        {"name": "z", "directory": {"path": "z", "editable": False}},
        {"name": "q", "version": "1", "archive": archive("q.zip", size=1)},
    ],
}


HERE = st.integers(0, 5).map(lambda number: number == 5)


def spoiled(value: Any, data: st.DataObject) -> Any:
    """The value with some part of it replaced."""
    match value:
        case dict() if value and not data.draw(HERE):
            key = data.draw(st.sampled_from(sorted(value)))
            return {**value, key: spoiled(value[key], data)}
        case list() if value and not data.draw(HERE):
            at = data.draw(st.integers(0, len(value) - 1))
            return [*value[:at], spoiled(value[at], data), *value[at + 1 :]]
        case _:
            return data.draw(VALUES)


@settings(LAW, max_examples=200)
@given(data=st.data())
def test_a_lock_of_any_content_is_used_or_refused(data: st.DataObject) -> None:
    document = spoiled(WHOLE, data)
    text = toml(document if isinstance(document, dict) else {"packages": document})
    hashes = data.draw(st.sampled_from([None, {"x": frozenset({SHA["a"]})}]))
    with contextlib.suppress(PackagerError):  # the only way to be refused
        assert isinstance(chosen(text, hashes=hashes), Selection)


# Requirements files.


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    return tmp_path / "requirements.txt"


def test_requirement_lines_are_logical_and_without_comments(requirements: Path) -> None:
    requirements.write_bytes(
        b"# a comment\r\n"
        b"\r\n"
        b"numpy==1.26.4 \\\r\n"
        b"    --hash=sha256:aa \\\r\n"
        b"    --hash=sha256:bb   # two\r\n"
        b"--index-url https://index.test/simple\n"
        b"x @ https://files.test/x.zip#subdirectory=y\n"
        b"pandas==2 ; python_version < '3.12'"
    )
    assert [" ".join(line.split()) for _, line in requirement_lines(requirements)] == [
        "numpy==1.26.4 --hash=sha256:aa --hash=sha256:bb",
        "--index-url https://index.test/simple",
        "x @ https://files.test/x.zip#subdirectory=y",
        "pandas==2 ; python_version < '3.12'",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "-r more/base.txt",
        "-rmore/base.txt",
        "-r 'more/base.txt'",
        "--requirement more/base.txt",
        "--requirement=more/base.txt",
        "-c more/base.txt",
        "--constraint=more/base.txt",
    ],
)
def test_included_files_are_read_from_where_they_are(requirements: Path, line: str) -> None:
    more = requirements.parent / "more"
    more.mkdir()
    (more / "base.txt").write_text("-r ../last.txt\nb\n", encoding="utf-8")
    last = requirements.parent / "last.txt"
    last.write_text("c\n", encoding="utf-8")
    requirements.write_text(f"a\n{line}\nd\n", encoding="utf-8")
    base = more / "base.txt"
    assert list(requirement_lines(requirements)) == [
        (requirements, "a"),
        (requirements, line),
        (base, "-r ../last.txt"),
        (last, "c"),
        (base, "b"),
        (requirements, "d"),
    ]


def test_files_that_include_each_other_are_refused(requirements: Path) -> None:
    requirements.write_text("-r other.txt\n", encoding="utf-8")
    (requirements.parent / "other.txt").write_text("-r requirements.txt\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        list(requirement_lines(requirements))
    assert caught.value.what == f"{requirements} includes itself"


def test_a_loop_through_folders_is_found_too(requirements: Path) -> None:
    folder = requirements.parent / "a"
    folder.mkdir()
    requirements.write_text("-r a/b.txt\n", encoding="utf-8")
    (folder / "b.txt").write_text("-r ../requirements.txt\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="includes itself"):
        list(requirement_lines(requirements))


def test_one_file_included_twice_is_no_loop(requirements: Path) -> None:
    requirements.write_text("-r a.txt\n-r a.txt\n", encoding="utf-8")
    (requirements.parent / "a.txt").write_text("a\n", encoding="utf-8")
    assert [line for _, line in requirement_lines(requirements)].count("a") == 2


def test_a_missing_include_names_both_files(requirements: Path) -> None:
    requirements.write_text("-r gone.txt\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        list(requirement_lines(requirements))
    assert caught.value.what == f"{requirements.parent / 'gone.txt'} can not be read"
    assert f"{requirements} includes it" in caught.value.why


def test_hashes_are_gathered_by_normal_name(requirements: Path) -> None:
    requirements.write_text(
        "# generated\n"
        f"Zope.Interface==6.0 --hash=sha256:{SHA['a']} \\\n"
        f"    --hash=sha256:{SHA['b'].upper()} --hash=sha512:00\n"
        f"numpy==1.24 --hash sha256:{SHA['c']} ; python_version < '3.9'\n"
        f"numpy[extra]==1.26 ; python_version >= '3.9' --hash=sha256:{SHA['d']}\n"
        "-r more.txt\n",
        encoding="utf-8",
    )
    (requirements.parent / "more.txt").write_text(f"x==1 --hash=sha256:{SHA['e']}\n")
    assert requirement_hashes(requirements) == {
        "zope-interface": frozenset({SHA["a"], SHA["b"]}),
        "numpy": frozenset({SHA["c"], SHA["d"]}),
        "x": frozenset({SHA["e"]}),
    }


def test_a_file_without_hashes_has_none(requirements: Path) -> None:
    requirements.write_text("numpy==1.26\n", encoding="utf-8")
    assert requirement_hashes(requirements) is None


def test_a_line_with_no_hash_that_is_checked_is_refused(requirements: Path) -> None:
    """To take it for a line without hashes would check nothing."""
    requirements.write_text("numpy==1.26 --hash=sha512:00\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        requirement_hashes(requirements)
    assert caught.value.what == f"{requirements}: numpy==1.26 has no SHA-256"


def test_what_emr_provides_is_seen_among_requirements() -> None:
    lines = [
        "PySpark[sql]>=3.5 ; python_version > '3'",
        "py4j",
        "py4j==0.10.9.7 --hash=sha256:00",
        "pyspark-extension",
        "-r pyspark.txt",
        "--index-url https://pyspark.test/simple",
    ]
    assert provided_among(lines) == ("py4j", "pyspark")


def test_a_name_that_no_file_can_have_is_not_included(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r a\0b.txt\n")
    with pytest.raises(ConfigError) as caught:
        tuple(requirement_lines(tmp_path / "requirements.txt"))
    assert "requirements.txt includes it" in caught.value.why
