"""What takes how much room in an image."""

from pathlib import Path

import pytest

from packager.errors import ConfigError
from packager.imagebuild.foundation import size_told
from packager.images import observe_documents
from packager.imagesizes import sizes_json, sizes_of, sizes_text
from packager.oci import files_in, image_in
from packager.releases import limits
from tests.conftest import Golden
from tests.images import CONFIG, Image, Made, hardlink, layout, write_layout
from tests.test_image_checks import observed

SITE = "opt/packager/environment/lib/python3.11/site-packages"
BASE = Image(
    layers=[{"usr/bin/a": Made(text=b"x" * 3000)}, {"usr/lib/b": Made(text=b"x" * 500)}],
    config=CONFIG,
    history=[{"created_by": "amazon"}, {"created_by": "ENV A", "empty_layer": True}, {}],
)
IMAGE = Image(
    layers=[
        *BASE.layers,
        {
            f"{SITE}/pandas/core.py": Made(text=b"x" * 40_000),
            f"{SITE}/pandas-2.2.3.dist-info/RECORD": Made(text=b"x" * 100),
            f"{SITE}/numpy.libs/libblas.so": Made(text=b"x" * 7000),
            f"{SITE}/numpy/__init__.py": Made(text=b"x" * 900),
            "root/cache": Made(text=b"x" * 200_000),
            "opt/own.jar": Made(text=b"x" * 12_345),
            "opt/same.jar": hardlink("opt/own.jar"),
        },
        {"root/.wh.cache": "", "opt/own.jar": Made(text=b"x" * 6000)},
    ],
    config=CONFIG,
    history=[
        *BASE.history,
        {"created_by": "RUN /bin/sh -c pip install   pandas # buildkit"},
        {"created_by": "/bin/sh -c #(nop) COPY " + "very/" * 20},
    ],
)


def test_layers_packages_and_files_are_shown_largest_first(tmp_path: Path, golden: Golden) -> None:
    golden.check("image-inspect.txt", sizes_text(sizes_of(observed(tmp_path, IMAGE, BASE))) + "\n")


def test_what_later_layers_hide_is_told_and_the_base_left_out(tmp_path: Path) -> None:
    sizes = sizes_of(observed(tmp_path, IMAGE, BASE))
    assert [layer.of_base for layer in sizes.layers] == [True, True, False, False]
    # The jar that was written anew is still there under its other name.
    assert [layer.hidden for layer in sizes.layers] == [0, 0, 200_000, 0]
    assert sum(layer.unpacked for layer in sizes.layers) == sizes.unpacked
    assert sum(layer.transferred for layer in sizes.layers) == sizes.transferred
    assert [(one.name.split()[0], one.size) for one in sizes.packages] == [
        ("pandas", 40_100),
        ("numpy", 7900),
    ]
    assert [(one.name, one.size) for one in sizes.files] == [
        ("/opt/same.jar", 12_345),
        ("/opt/own.jar", 6000),
    ]
    assert sizes_json(sizes)["limit"] == limits().image_gb * 10**9


def test_without_a_base_every_layer_is_shown(tmp_path: Path) -> None:
    text = sizes_text(sizes_of(observed(tmp_path, IMAGE)))
    assert "the base's" not in text
    assert "amazon" in text
    assert "/usr/bin/a" in text


def test_a_history_that_does_not_fit_tells_nothing(tmp_path: Path) -> None:
    image = Image(**{**vars(IMAGE), "history": [{"created_by": "one"}]})
    sizes = sizes_of(observed(tmp_path, image))
    assert {layer.made_by for layer in sizes.layers} == {""}
    assert "its history does not tell" in sizes_text(sizes)


def test_of_an_image_that_is_not_read_layers_are_shown(tmp_path: Path) -> None:
    path = write_layout(tmp_path / "image", layout(IMAGE))
    facts = observe_documents(image_in(files_in(path), "linux/amd64"), name="it")
    sizes = sizes_of(facts)
    assert len(sizes.layers) == 4
    assert sizes.transferred == sum(layer.transferred for layer in sizes.layers) > 0


def test_an_image_that_is_too_large_is_not_made_and_one_that_is_near_it_is_told() -> None:
    limit = limits().image_gb * 10**9
    assert size_told(limit // 2) == ""
    assert "9.5 GB" in size_told(limit * 95 // 100)
    with pytest.raises(ConfigError, match="11"):
        size_told(limit * 11 // 10)
