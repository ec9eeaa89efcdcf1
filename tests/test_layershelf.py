"""Known layers are not read again, and nothing wrong is believed for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.errors import ConfigError
from packager.images import observe
from packager.layershelf import Shelf, from_json, to_json
from packager.layertree import Entry, LayerIndex
from packager.oci import Blobs, files_in
from tests.images import BASE, Image, digest, docker_files, layout, write_layout, write_tar

AMD64 = "linux/amd64"


class Store(dict[tuple[str, str], str]):
    """Texts by kind and key."""

    def shelf(self) -> Shelf:
        return Shelf(
            recall=lambda kind, key: self.get((kind, key)),
            remember=lambda kind, key, text: self.update({(kind, key): text}),
        )


class Watched:
    """Files that note which of them are read."""

    def __init__(self, files: Blobs, *, holds: bool) -> None:
        self.files, self.holds = files, holds
        self.where, self.mend = files.where, files.mend
        self.read: list[str] = []

    def size(self, name: str) -> int | None:
        return self.files.size(name)

    def chunks(self, name: str) -> Iterator[bytes]:
        self.read.append(name)
        return self.files.chunks(name)

    def stop(self) -> None:
        self.files.stop()


def test_who_holds_layers_against_their_digests_need_not_give_known_ones(tmp_path: Path) -> None:
    store = Store()
    below = observe(
        files_in(write_layout(tmp_path / "a", layout(BASE))),
        AMD64,
        name="a",
        shelf=store.shelf(),
    )
    mine = BASE.over({"home/hadoop/job.py": "print()"})
    again = Watched(files_in(write_layout(tmp_path / "b", layout(mine))), holds=True)
    facts = observe(again, AMD64, name="b", shelf=store.shelf())
    assert facts.layers[:2] == below.layers
    assert len([name for name in again.read if name.startswith("blobs/")]) == 3  # with documents
    plain = observe(files_in(tmp_path / "b"), AMD64, name="b")
    assert plain == facts


@pytest.mark.parametrize("form", ["layout", "docker"])
def test_files_are_held_against_their_digests_though_their_layers_are_known(
    form: str, tmp_path: Path
) -> None:
    shelf = Store().shelf()
    image = Image(layers=({"a": "1"}, {"b": "2"}))
    files = dict(layout(image)) if form == "layout" else dict(docker_files(image))
    path = write_tar(tmp_path / "image.tar", files)
    observe(files_in(path), AMD64, name="image", shelf=shelf)
    path.write_bytes(path.read_bytes().replace(image.tars()[0], bytes(len(image.tars()[0]))))
    with pytest.raises(ConfigError, match=r"damaged|not the one it should be"):
        observe(files_in(path), AMD64, name="image", shelf=shelf)


def test_compressed_bytes_are_not_taken_for_a_tar_that_they_are_not(tmp_path: Path) -> None:
    """A layout whose configuration names a known tar, and whose manifest has other bytes."""
    shelf = Store().shelf()
    observe(files_in(write_layout(tmp_path / "a", layout(BASE))), AMD64, name="a", shelf=shelf)
    liar = Image(layers=({"x": "1"},), compress=BASE.compress, diff_ids=[digest(BASE.tars()[0])])
    with pytest.raises(ConfigError, match="not the one it should be"):
        observe(files_in(write_layout(tmp_path / "b", layout(liar))), AMD64, name="b", shelf=shelf)


def test_what_another_version_kept_or_somebody_removed_is_made_anew(tmp_path: Path) -> None:
    store = Store()
    files = files_in(write_layout(tmp_path, layout(BASE)))
    first = observe(files, AMD64, name="a", shelf=store.shelf())
    for place, text in store.items():
        store[place] = text.replace('"format":"1"', '"format":"0"')
    assert observe(files, AMD64, name="a", shelf=store.shelf()) == first
    store.clear()
    assert observe(files, AMD64, name="a", shelf=store.shelf()) == first


entries = st.builds(
    Entry,
    kind=st.sampled_from(["file", "directory", "symlink", "special"]),
    size=st.integers(0, 1 << 40),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 1 << 31),
    gid=st.integers(0, 1 << 31),
    link=st.text(),
    machine=st.integers(0, 1 << 16),
    sha256=st.text("0123456789abcdef", max_size=64),
)
# What tarfile makes of names that are not UTF-8.
paths = st.binary(max_size=8).map(lambda name: name.decode("utf-8", "surrogateescape"))


@settings(max_examples=25)
@given(
    st.builds(
        LayerIndex,
        entries=st.dictionaries(paths, entries, max_size=3),
        hardlinks=st.dictionaries(paths, paths, max_size=2),
        removed=st.lists(paths, max_size=2).map(tuple),
        opaque=st.lists(paths, max_size=2).map(tuple),
        texts=st.dictionaries(paths, st.binary(max_size=9), max_size=2),
        secrets=st.lists(st.tuples(paths, st.text(max_size=3)), max_size=2).map(tuple),
    )
)
def test_indexes_come_back_as_they_were(index: LayerIndex) -> None:
    text = to_json(index)
    text.encode()  # the store can write it
    assert from_json(text) == index


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format":"1"}', '{"format":"1","entries":1}']
)
def test_what_is_no_index_is_none(text: str) -> None:
    assert from_json(text) is None
