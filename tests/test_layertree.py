"""Layers on each other, against a model that does it the slow way."""

import tarfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from packager.images import observe
from packager.layertree import Tree
from packager.oci import files_in
from tests.images import Files, Image, Made, folder, hardlink, layout, symlink, write_layout


def tree_of(tmp_path: Path, *layers: Files) -> Tree:
    path = write_layout(tmp_path, layout(Image(layers=layers)))
    return observe(files_in(path), "linux/amd64", name="image").tree


def test_whiteouts_count_for_lower_layers_only_wherever_they_stand(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path,
        {"a/x": "1", "a/y": "1", "b/x": "1", "c/d/x": "1"},
        {"a/x": "22", "a/.wh..wh..opq": "", ".wh.b": "", "c/.wh.d": "", "b": "now a file"},
    )
    assert sorted(tree.nodes) == ["a", "a/x", "b", "c"]
    assert tree.nodes["b"].entry.kind == "file"


def test_files_are_written_through_links_of_lower_layers(tmp_path: Path) -> None:
    """As when `lib` has become a link to `usr/lib`, and a package still writes to `lib`."""
    tree = tree_of(
        tmp_path,
        {"usr/lib/a": "1", "lib": symlink("usr/lib")},
        {"lib/b": "22", "lib/.wh.a": ""},
    )
    assert "usr/lib/b" in tree.nodes
    assert "usr/lib/a" not in tree.nodes
    assert tree.nodes["lib"].entry.kind == "symlink"
    assert tree.find("/lib/b") == "usr/lib/b"


def test_a_layer_may_make_a_folder_of_a_file_without_naming_it(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"a": "1"}, {"a/b": "1"})
    assert tree.nodes["a"].entry.kind == "directory"
    assert tree.nodes["a/b"].entry.kind == "file"


def test_hard_links_are_the_file_and_stay_when_its_first_name_goes(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"a": "four", "b": hardlink("a")}, {".wh.a": ""})
    assert sorted(tree.nodes) == ["b"]
    assert tree.nodes["b"].entry.size == 4
    assert tree.nodes["b"].source == "a"


def test_links_are_followed_and_loops_lead_nowhere(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path,
        {
            "a": symlink("b"),
            "b": symlink("/c/../d"),
            "d/x": "1",
            "c": folder(),
            "loop": symlink("loop"),
            "up": symlink("../../../d"),
            "gone": symlink("nowhere"),
        },
    )
    assert tree.find("a/x") == "d/x"
    assert tree.find("up/x") == "d/x"
    assert tree.find("loop") is None
    assert tree.find("gone") is None
    assert tree.find("d/x/y") is None
    assert tree.names("/a") == ("x",)
    assert tree.names("/") == ("a", "b", "c", "d", "gone", "loop", "up")


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
MADE = st.one_of(
    st.integers(0, 3).map(lambda size: Made(text=b"x" * size)),
    st.just(folder()),
)
REMOVED = PATHS.map(lambda path: ("/".join([*path.split("/")[:-1], f".wh.{path[-1]}"]), Made()))
OPAQUE = PATHS.map(lambda path: (f"{path}/.wh..wh..opq", Made()))
LAYERS = st.lists(
    st.lists(st.one_of(st.tuples(PATHS, MADE), REMOVED, OPAQUE), max_size=8).map(dict),
    max_size=4,
)


def fits(layer: Files) -> bool:
    """No layer has a path below one of its own files: none is made so."""
    files = {p for p, m in layer.items() if isinstance(m, Made) and m.type == tarfile.REGTYPE}
    files = {path for path in files if ".wh." not in path}
    return not any(path != file and path.startswith(f"{file}/") for path in layer for file in files)


def unpacked(layers: list[Files]) -> dict[str, Any]:
    """The model: directories of directories, one thing done after the other."""
    root: dict[str, Any] = {}
    for layer in layers:
        for path in layer:
            *parents, name = path.split("/")
            place = _inside(root, parents, make=False)
            if place is None:
                continue
            if name == ".wh..wh..opq":
                place.clear()
            elif name.startswith(".wh."):
                place.pop(name.removeprefix(".wh."), None)
        for path, made in layer.items():
            *parents, name = path.split("/")
            if name.startswith(".wh.") or not isinstance(made, Made):
                continue
            place = _inside(root, parents, make=True)
            assert place is not None
            if made.type == tarfile.DIRTYPE:
                if not isinstance(place.get(name), dict):
                    place[name] = {}
            else:
                place[name] = len(made.text)
    return root


def _inside(root: dict[str, Any], parents: list[str], *, make: bool) -> dict[str, Any] | None:
    place = root
    for parent in parents:
        inner = place.get(parent)
        if not isinstance(inner, dict):
            if not make:
                return None
            inner = place[parent] = {}
        place = inner
    return place


def flat(place: dict[str, Any], prefix: str = "") -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for name, inner in place.items():
        if isinstance(inner, dict):
            found |= {f"{prefix}{name}": None, **flat(inner, f"{prefix}{name}/")}
        else:
            found[f"{prefix}{name}"] = inner
    return found


@given(LAYERS.filter(lambda layers: all(map(fits, layers))))
@settings(max_examples=50)
def test_merged_layers_are_what_unpacking_them_gives(
    tmp_path_factory: Any, layers: list[Files]
) -> None:
    tree = tree_of(tmp_path_factory.mktemp("image"), *layers)
    seen = {
        path: node.entry.size if node.entry.kind == "file" else None
        for path, node in tree.nodes.items()
    }
    assert seen == flat(unpacked(layers))
