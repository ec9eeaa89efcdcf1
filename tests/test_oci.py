"""Images in files: every form gives the same, and nothing but a message comes of damaged ones."""

import gzip
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from packager.errors import ConfigError, PackagerError
from packager.images import observe
from packager.layertree import read_layer
from packager.oci import files_in, read_image
from tests.images import (
    BASE,
    CONFIG,
    Image,
    Made,
    digest,
    docker_files,
    gzipped,
    layout,
    write_layout,
    write_tar,
)

AMD64 = "linux/amd64"


def every_form(folder: Path, image: Image) -> dict[str, Path]:
    plain = replace(image, compress=None)
    return {
        "folder": write_layout(folder / "layout", layout(image)),
        "tar": write_tar(folder / "layout.tar", layout(image)),
        "uncompressed": write_tar(folder / "plain.tar", layout(plain)),
        "docker": write_tar(folder / "docker.tar", docker_files(image)),
    }


def test_every_form_tells_the_same(tmp_path: Path) -> None:
    image = BASE.over({"a": "1"}, {"a": "1"}, Cmd=["run"], Labels={"a": "b"})
    seen = {
        form: observe(files_in(path), AMD64, name="image")
        for form, path in every_form(tmp_path, image).items()
    }
    first = seen["folder"]
    assert first.config.user == "hadoop:hadoop"
    assert first.config.cmd == ("run",)
    assert first.config.labels == {"a": "b"}
    assert first.config.variable("JAVA_HOME") == "/etc/alternatives/jre"
    assert len(first.layers) == 4
    for other in seen.values():
        assert other.config == first.config
        assert other.tree.nodes == first.tree.nodes


def test_the_platform_is_chosen_from_an_index_without_attestations(tmp_path: Path) -> None:
    arm = replace(BASE, architecture="arm64")
    attestation = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": f"sha256:{'0' * 64}",
        "size": 1,
        "platform": {"os": "unknown", "architecture": "unknown"},
    }
    path = write_layout(tmp_path, layout(BASE, arm, extra=[attestation]))
    for architecture in ("amd64", "arm64"):
        image = read_image(path, f"linux/{architecture}")
        assert image.config.architecture == architecture
        assert image.platforms == ("linux/amd64", "linux/arm64")
        assert image.attested


def test_the_only_image_is_taken_whatever_it_is_for(tmp_path: Path) -> None:
    path = write_layout(tmp_path, layout(replace(BASE, architecture="s390x")))
    assert read_image(path, AMD64).config.platform == "linux/s390x"


def test_indexes_within_indexes_are_followed(tmp_path: Path) -> None:
    files = layout(BASE)
    inner = files["index.json"]
    files[f"blobs/{digest(inner).replace(':', '/')}"] = inner
    outer = {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": digest(inner),
        "size": len(inner),
    }
    files["index.json"] = json.dumps({"manifests": [outer]}).encode()
    assert read_image(write_layout(tmp_path, files), AMD64).config.user == "hadoop:hadoop"


def test_several_gzip_members_are_one_layer(tmp_path: Path) -> None:
    def split(tar: bytes) -> bytes:
        return gzip.compress(tar[:700]) + gzip.compress(tar[700:])

    made = Image(layers=({"a": "1" * 5000},), compress=split)
    image = read_image(write_layout(tmp_path, layout(made)), AMD64)
    assert read_layer(image, image.layers[0]).content.entries["a"].size == 5000


def test_a_layer_that_inflates_a_thousandfold_is_read_piece_by_piece(tmp_path: Path) -> None:
    made = Image(layers=({"a": Made(text=bytes(9 << 20)), "b": "1"},), compress=gzipped)
    image = read_image(write_layout(tmp_path, layout(made)), AMD64)
    assert read_layer(image, image.layers[0]).content.entries["b"].size == 1


@pytest.mark.parametrize("name", ["a\0b", "../../etc/passwd", "", "blobs"])
@pytest.mark.parametrize("key", ["Config", "Layers"])
def test_names_of_files_that_can_not_be_are_told(name: str, key: str, tmp_path: Path) -> None:
    document = json.loads(docker_files(BASE)["manifest.json"])  # type: ignore[arg-type]
    document[0][key] = name if key == "Config" else [name, name]
    files = {
        path: made.text if isinstance(made, Made) else made.encode()
        for path, made in docker_files(BASE).items()
    }
    files["manifest.json"] = json.dumps(document).encode()
    path = write_layout(tmp_path / "image", files)
    (path / "blobs").mkdir()
    with pytest.raises(ConfigError):
        observe(files_in(path), AMD64, name="image")


Files = dict[str, bytes]


def spoil_first_layer(files: Files) -> None:
    name = next(name for name, data in files.items() if data.startswith(b"\x1f\x8b"))
    files[name] = files[name][:-9] + bytes([files[name][-9] ^ 1]) + files[name][-8:]


def spoil_begin_of_first_layer(files: Files) -> None:
    name = next(name for name, data in files.items() if data.startswith(b"\x1f\x8b"))
    files[name] = files[name][:10] + b"\xff" * 40 + files[name][50:]


def cut_first_layer(files: Files) -> None:
    name = next(name for name, data in files.items() if data.startswith(b"\x1f\x8b"))
    files[name] = files[name][:100]


def lose_first_layer(files: Files) -> None:
    del files[next(name for name, data in files.items() if data.startswith(b"\x1f\x8b"))]


def change_config(files: Files) -> None:
    name = next(name for name, data in files.items() if b'"rootfs"' in data)
    files[name] = files[name].replace(b"hadoop:hadoop", b"hadoop:hadooq")


def index_of(change: Callable[[dict[str, object]], None]) -> Callable[[Files], None]:
    def spoil(files: Files) -> None:
        index = json.loads(files["index.json"])
        change(index["manifests"][0])
        files["index.json"] = json.dumps(index).encode()

    return spoil


SPOILED: dict[str, tuple[Callable[[Files], None], str]] = {
    "wrong digest of a layer": (spoil_first_layer, "is damaged"),
    "layer that is no deflate stream": (spoil_begin_of_first_layer, "is damaged"),
    "layer cut off": (cut_first_layer, "is damaged"),
    "layer lost": (lose_first_layer, "lacks blobs/sha256/"),
    "configuration changed": (change_config, "is damaged"),
    "no JSON": (lambda files: files.update({"index.json": b"{"}), "is not JSON"),
    "not an object": (lambda files: files.update({"index.json": b"[]"}), "is not an object"),
    "no image": (lambda files: files.update({"index.json": b"{}"}), "has no image for"),
    "no image's documents": (lambda files: files.pop("index.json"), "is not an image"),  # type: ignore[dict-item]
    "unknown media type": (
        index_of(lambda one: one.update(mediaType="application/vnd.wasm")),
        "'application/vnd.wasm' is not known",
    ),
    "digest that leads out": (
        index_of(lambda one: one.update(digest="sha256:../../../etc/passwd")),
        "is no way to name content",
    ),
    "size that is none": (index_of(lambda one: one.update(size="1")), "is no way to name content"),
}


@pytest.mark.parametrize("form", ["folder", "tar"])
@pytest.mark.parametrize("name", SPOILED)
def test_damage_is_told(name: str, form: str, tmp_path: Path) -> None:
    spoil, what = SPOILED[name]
    files = layout(BASE)
    spoil(files)
    if form == "folder":
        path = write_layout(tmp_path / "image", files)
    else:
        path = write_tar(tmp_path / "image.tar", files)
    with pytest.raises(ConfigError) as told:
        observe(files_in(path), AMD64, name="image")
    assert what in told.value.what
    assert told.value.fix


@pytest.mark.parametrize("compress", [None, gzipped])
def test_a_layer_that_is_not_what_the_configuration_says_is_told(
    compress: Callable[[bytes], bytes] | None, tmp_path: Path
) -> None:
    """Its bytes are what the manifest names; the tar in them is another's."""
    image = Image(layers=({"a": ""},), diff_ids=[digest(b"")], compress=compress)
    with pytest.raises(ConfigError, match="is not the one it should be"):
        observe(files_in(write_layout(tmp_path, layout(image))), AMD64, name="image")


def test_a_configuration_with_other_layers_than_the_manifest_is_told(tmp_path: Path) -> None:
    image = replace(BASE, diff_ids=[digest(b"")])
    with pytest.raises(ConfigError, match="contradict each other"):
        read_image(write_layout(tmp_path, layout(image)), AMD64)


@pytest.mark.parametrize("form", ["tar", "docker"])
def test_a_tar_that_was_cut_off_is_told_wherever_that_was(form: str, tmp_path: Path) -> None:
    whole = every_form(tmp_path, BASE)[form].read_bytes()
    end = whole.rstrip(b"\0")
    for length in range(0, len(end), max(1, len(end) // 60)):
        path = tmp_path / "cut.tar"
        path.write_bytes(whole[:length])
        with pytest.raises(PackagerError) as told:
            observe(files_in(path), AMD64, name="image")
        assert told.value.what


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (gzip.compress(b"x", mtime=0), "is compressed with gzip"),
        (b"\x28\xb5\x2f\xfd0000", "is compressed with zstd"),
        (b"not a tar" * 100, "is not a whole tar"),
        (b"", "is not a"),
    ],
)
def test_other_files_are_told_from_images(data: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as told:
        read_image(path, AMD64)
    assert what in told.value.what


@pytest.mark.parametrize(
    "config",
    [
        {"Env": "A=B"},
        {"Env": [1]},
        {"Entrypoint": "sh"},
        {"Labels": ["a"]},
    ],
)
def test_a_malformed_configuration_is_told(config: dict[str, object], tmp_path: Path) -> None:
    path = write_layout(tmp_path, layout(replace(BASE, config={**CONFIG, **config})))
    with pytest.raises(ConfigError, match="is not a"):
        read_image(path, AMD64)


def test_a_layer_that_climbs_out_is_refused(tmp_path: Path) -> None:
    path = write_layout(tmp_path, layout(BASE.over({"../etc/passwd": Made()})))
    with pytest.raises(ConfigError, match="is damaged"):
        observe(files_in(path), AMD64, name="image")


def test_a_header_that_is_none_is_damage_and_not_the_end(tmp_path: Path) -> None:
    tar = Image(layers=({"a": "", "b": ""},)).tars()[0]
    broken = tar[:512] + b"x" * 512 + tar[1024:]
    path = write_layout(tmp_path, layout(Image(layers=(broken,))))
    with pytest.raises(ConfigError, match="is damaged"):
        observe(files_in(path), AMD64, name="image")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="that Python reads it")
def test_a_layer_of_zstd_is_refused_with_the_reason(tmp_path: Path) -> None:
    data = b"\x28\xb5\x2f\xfd" + bytes(20)
    image = Image(layers=(b"",), compress=lambda _: data)
    with pytest.raises(ConfigError, match="is compressed with zstd"):
        observe(files_in(write_layout(tmp_path, layout(image))), AMD64, name="image")
