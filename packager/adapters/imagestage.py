"""What BuildKit builds on a base: a project's packages and commands, or a Dockerfile of its own.

The result comes out as an OCI layout with all times at the epoch, so that the same files are the
same layers, and reaches registries and engines the way all other images do. What packages and
commands left is kept in the store: it is made once for a base, and later needs no engine.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from packager.adapters.engine import builder_is_own, connect, explained, require_buildx
from packager.adapters.imagebases import base_in
from packager.adapters.limit import note_added
from packager.adapters.process import run, tail
from packager.adapters.seals import is_sound, signed, unsigned
from packager.adapters.store import Store, used
from packager.dockerbuild import complaints, failed_instruction, failed_step, pinned, unseen_base
from packager.errors import CommandError, ConfigError, PackagerError, ToolError
from packager.imagebuild.assembly import scratch
from packager.imagebuild.dockerfile import BASE, CONTEXT, stage_text
from packager.imagebuild.installing import install_failure
from packager.imagebuild.layering import ImageLayer
from packager.imagebuild.options import ImageOptions
from packager.imagemaking import Base, Fetch
from packager.manifests import Descriptor, Document
from packager.oci import files_in

STAGES: Final = "image-stages"
_TOLD: Final = "stage.json"
_SHOWN_LINES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Layers on a base, in a folder of the store by their digests."""

    folder: Path
    layers: tuple[Descriptor, ...]
    diff_ids: tuple[str, ...]
    history: tuple[Mapping[str, Any], ...]

    def over(self, base: Base) -> Base:
        """The base with these on top; all else that it says of itself stays."""
        config = dict(base.image.config)
        rootfs = config["rootfs"]
        config["rootfs"] = {**rootfs, "diff_ids": [*rootfs["diff_ids"], *self.diff_ids]}
        config["history"] = [*(config.get("history") or []), *self.history]
        layers = (*base.image.layers, *self.layers)

        def fetch(layer: Descriptor, path: Path) -> Path:
            if layer in self.layers:
                return _blob(self.folder, layer.digest)
            return base.fetch(layer, path)

        image = replace(base.image, config=config, layers=layers)
        return replace(base, image=image, fetch=fetch, brought=self.layers)


def staged(
    base: Base,
    platform: str,
    options: ImageOptions,
    store: Store,
    env: Mapping[str, str],
    *,
    fresh: bool,
) -> Base:
    """The base after its packages and commands, which run unless the store has what they left.

    Raise `ToolError` where there is no engine, `CommandError` with the failed step's own words.
    """
    text = stage_text(options)
    parts = (base.image.digest, *base.image.config["rootfs"]["diff_ids"], platform, text)
    folder = store.root / STAGES / hashlib.sha256("\0".join(parts).encode()).hexdigest()
    stage = None if fresh else _kept(folder)
    if stage is None:
        store.say(f"Running packages and commands in {base.image.name} for {platform}")
        with store.temporary() as temporary:
            context = temporary / "context"
            context.mkdir()
            (context / "Dockerfile").write_text(text, encoding="utf-8")
            out = temporary / "out"
            more = ("--no-cache",) if fresh else ()
            build = Build(base=base, platform=platform, file=context / "Dockerfile", env=env)
            build.run(context, out, *more, fix="correct `packages` or `commands`")
            stage = _keep(base, out, platform, temporary / "stage", folder)
        note_added(store.root, sum(layer.size for layer in stage.layers))
    return stage.over(base)


def built(
    base: Base,
    file: Path,
    layers: Sequence[tuple[ImageLayer, Fetch]],
    *,
    platform: str,
    context: Path,
    out: Path,
    env: Mapping[str, str],
    fresh: bool,
) -> Base:
    """What a Dockerfile of the user's makes of the base, with `layers` as a build context.

    Raise `ConfigError` where it is not made from the base, else as `staged`.
    """
    named = out / CONTEXT
    digest = _write_layout(named, platform, layers)
    Build(base=base, platform=platform, file=file, env=env).run(
        context,
        out / "image",
        *(("--no-cache",) if fresh else ()),
        f"--build-context={CONTEXT}=oci-layout://{named}@{digest}",
        fix=f"correct {file}",
    )
    made = base_in(files_in(out / "image"), str(file), platform)
    below = base.image.config["rootfs"]["diff_ids"]
    if made.image.config["rootfs"]["diff_ids"][: len(below)] != below:
        raise ConfigError(
            f"{file} does not build on {base.image.name}",
            why="the first layers of what it makes are not the base's",
            fix=f"let its last stage begin with `ARG {BASE}` before, and `FROM ${{{BASE}}}`; name"
            " another base with --base-image",
        )
    own = made.image.layers[len(below) :]

    def fetch(layer: Descriptor, path: Path) -> Path:
        return made.fetch(layer, path) if layer in own else base.fetch(layer, path)

    # The base's own descriptors: an exporter may have compressed its layers anew.
    image = replace(base.image, config=made.image.config, layers=(*base.image.layers, *own))
    return replace(base, image=image, fetch=fetch, brought=own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One call of BuildKit."""

    base: Base
    platform: str
    file: Path
    env: Mapping[str, str]

    def run(self, context: Path, out: Path, *more: str, fix: str) -> None:
        if not self.base.build_from:
            raise ConfigError(
                f"the base image {self.base.image.name} is a file, and nothing can run in it",
                why="packages, commands and Dockerfiles are for BuildKit, which builds on images"
                " of engines and registries",
                fix="docker load it and name it by its tag",
            )
        engine = connect(self.env)
        require_buildx(engine, self.env)
        base, digest = self.base.build_from, self.base.build_digest
        if digest and not builder_is_own(engine, self.env):
            base = pinned(base, digest)
        exporter = "type=oci,tar=false,compression=gzip,rewrite-timestamp=true"
        done = run(
            [
                *("docker", "buildx", "build", "--progress=plain", "--provenance=false"),
                *(f"--platform={self.platform}", f"--file={self.file}"),
                *(f"--build-arg={BASE}={base}", "--build-arg=SOURCE_DATE_EPOCH=0"),
                *(*more, "--output", f"{exporter},{_quoted(out)}", str(context)),
            ],
            env={**self.env, **engine.variables},
            check=False,
        )
        if done.returncode:
            raise self._failure(done.stderr, explained_by=engine, fix=fix)

    def _failure(self, output: str, *, explained_by: Any, fix: str) -> PackagerError:
        said = complaints(output)
        step = failed_step(output)
        if "OCI exporter is not supported" in output:
            return ToolError(
                "the engine's builder can not give what it has built",
                why="with the classic image store it lacks the exporter of OCI layouts",
                fix='turn on containerd\'s image store: {"features": {"containerd-snapshotter":'
                " true}} in /etc/docker/daemon.json",
            )
        if not self.base.repository and (unseen := unseen_base(output, self.base.image.name)):
            return unseen  # the base is the engine's, and the builder is not
        told = explained(
            "\n".join([*said, *step]),
            explained_by,
            image=self.base.image.name,
            platform=self.platform,
        ) or install_failure(failed_instruction(output), step, self.base.image.name)
        return told or CommandError(
            f"the build for {self.platform} on {self.base.image.name} failed",
            why="\n".join(step[-_SHOWN_LINES:]) or tail("\n".join(said)),
            fix=f"see the step's own words above, and {fix}",
        )


def _quoted(out: Path) -> str:
    """The place as a field of comma-separated ones, for it may have commas itself."""
    place = str(out).replace('"', '""')
    return f'"dest={place}"'


def _kept(folder: Path) -> Stage | None:
    try:
        told = json.loads(unsigned((folder / _TOLD).read_text(encoding="utf-8")))
        layers = tuple(Descriptor(**layer) for layer in told["layers"])
        for path in (_blob(folder, layer.digest) for layer in layers):
            if not is_sound(path, path.name):
                return None
        stage = Stage(
            folder=folder,
            layers=layers,
            diff_ids=tuple(told["diff_ids"]),
            history=tuple(told["history"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # there is none, or somebody was at it
    used(folder)
    return stage


def _keep(base: Base, out: Path, platform: str, temporary: Path, folder: Path) -> Stage:
    made = base_in(files_in(out), base.image.name, platform)
    below = base.image.config["rootfs"]["diff_ids"]
    count = len(below)
    if made.image.config["rootfs"]["diff_ids"][:count] != below:
        raise ConfigError(
            f"the builder has another image by the name of {base.image.name}",
            why="what it has built has other layers at the bottom; the builder that `docker buildx`"
            " uses is not the engine's own",
            fix="build with the engine's own, BUILDX_BUILDER=default; or name the base by its"
            " digest: --base-image NAME@sha256:…",
        )
    steps = len(base.image.config.get("history") or [])
    layers = made.image.layers[count:]
    temporary.mkdir()
    for layer in layers:
        made.fetch(layer, _blob(temporary, layer.digest))
    told = {
        "layers": [
            {"media_type": one.media_type, "digest": one.digest, "size": one.size} for one in layers
        ],
        "diff_ids": made.image.config["rootfs"]["diff_ids"][count:],
        "history": (made.image.config.get("history") or [])[steps:],
    }
    (temporary / _TOLD).write_text(signed(json.dumps(told)), encoding="utf-8")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=temporary.parent) as away:
        with contextlib.suppress(FileNotFoundError):  # damaged, or to be made anew
            folder.rename(Path(away) / "old")
        with contextlib.suppress(OSError):  # another run was faster with the same
            temporary.rename(folder)
    stage = _kept(folder)
    if stage is None:
        raise CommandError(
            f"the store {folder.parent} does not keep what was built",
            why="somebody else is at it",
            fix="try it again",
        )
    return stage


def _blob(folder: Path, digest: str) -> Path:
    return folder / digest.rpartition(":")[2]


def _write_layout(folder: Path, platform: str, layers: Sequence[tuple[ImageLayer, Fetch]]) -> str:
    """An image of nothing but these layers; the digest of its manifest."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    config, manifest = scratch([layer for layer, _ in layers], platform)
    for layer, fetch in layers:
        place = _blob(blobs, layer.digest)
        brought = fetch(place)
        if brought != place:
            place.unlink(missing_ok=True)
            os.link(brought, place)
    for document in (config, manifest):
        _blob(blobs, document.digest).write_bytes(document.content)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")
    index = {"schemaVersion": 2, "manifests": [_described(manifest)]}
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    return manifest.digest


def _described(document: Document) -> Mapping[str, object]:
    return document.descriptor.document()
