"""What Docker is asked to build, under which key its answer is kept, and what its failure means.

Pure. A build gets a folder of packager's making (`steps/`, and `sources/` or `pins/`), settings as
build arguments, and secrets as files that are mounted while a step runs. Its stages stand in
`dockerfiles/environment.Dockerfile`, or in a file of the project's own.
"""

import hashlib
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from packager.errors import CommandError, ConfigError, PackagerError
from packager.target import Target

Stage = Literal["wheels", "environment", "interpreter"]
"""The stages that are asked for: wheels of sources, the environment, and its Python."""

ALWAYS: Final[tuple[Stage, ...]] = ("wheels", "environment")

SECRETS: Final = ("ca", "netrc", "pip", "proxy")
"""Names of the secrets that steps look for."""

SHOWN_LINES: Final = 20
"""How much of a failed step's words an error repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The image that a build starts from."""

    reference: str
    """As the user or the release table names it."""
    digest: str
    """`sha256:…` of its manifest list or manifest; of its configuration in older engines."""
    local: bool
    """Whether the engine has it, and so need not ask a registry."""

    def named(self, *, own_builder: bool) -> str:
        """What to build from: by digest, so that no builder takes another image for it.

        The engine's own builder finds what was made there by its name only, and has no other.
        """
        if self.local and own_builder:
            return self.reference
        return pinned(self.reference, self.digest)

    @property
    def recorded(self) -> str:
        return f"{self.reference.partition('@')[0]}@{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How Docker builds for one target."""

    target: Target
    base: Base
    dockerfile: str
    """Its text."""
    where: Path
    """Of the Dockerfile, for messages."""
    steps: str
    """Digest of the scripts that its steps run."""
    build_packages: tuple[str, ...]
    fresh: bool
    """Take nothing from an earlier build."""

    @property
    def interpreter(self) -> str:
        """Where the target's Python is to be; the image may have it elsewhere."""
        known = self.target.release.interpreter(self.target.python)
        return known.path if known else f"/usr/bin/python{self.target.python}"

    @property
    def place(self) -> str:
        return f"{self.target.arch.oci_platform} in {self.base.reference}"

    def key(self, *parts: str) -> str:
        """Of what is built of `parts` by this recipe: the same key, the same result."""
        own = (
            self.base.digest,
            hashlib.sha256(self.dockerfile.encode()).hexdigest(),
            self.steps,
            self.target.python,
            self.interpreter,
            self.target.arch.name,
            " ".join(self.build_packages),
        )
        return hashlib.sha256("\0".join((*own, *parts)).encode()).hexdigest()


def arguments(
    recipe: Recipe,
    stage: Stage,
    *,
    context: Path,
    secrets: Mapping[str, Path],
    out: Path,
    own_builder: bool,
) -> list[str]:
    """The command line. It names files, and holds no secret itself.

    `own_builder` tells that the builder is the engine's own.
    """
    target = recipe.target
    given = {
        "BASE_IMAGE": recipe.base.named(own_builder=own_builder),
        "PYTHON": target.python,
        "INTERPRETER": recipe.interpreter,
        "BUILD_PACKAGES": " ".join(recipe.build_packages),
    }
    return [
        *("docker", "buildx", "build", "--progress=plain", "--provenance=false"),
        *("--platform", target.arch.oci_platform),
        *("--file", str(context / "Dockerfile"), "--target", stage),
        *(f"--build-arg={name}={value}" for name, value in given.items()),
        *(f"--secret=id={name},src={path}" for name, path in sorted(secrets.items())),
        *(("--no-cache",) if recipe.fresh else ()),
        *("--output", f"type=local,dest={out}"),
        str(context),
    ]


def no_variant(reference: str, platform: str, why: str) -> ConfigError:
    return ConfigError(
        f"the base image {reference} has no {platform} variant",
        why=why,
        fix="choose another with --base-image, or bring its other variant to the engine:"
        f" docker pull --platform {platform} {reference}",
    )


def pins_text(wheels: Iterable[tuple[str, str]]) -> str:
    """Requirements that only the very files fulfil, of file names and SHA-256 hashes."""
    lines = []
    for filename, sha256 in wheels:
        name, version = filename.split("-")[:2]
        lines.append(f"{name}=={version} --hash=sha256:{sha256}\n")
    return "".join(sorted(lines))


_STAGE: Final = re.compile(r"^\s*FROM\s+.*\sAS\s+(\S+)\s*$", re.IGNORECASE | re.MULTILINE)


def require_stages(text: str, where: Path, stages: Iterable[Stage] = ALWAYS) -> None:
    """Raise `ConfigError` unless the Dockerfile `where` has the stages that may be asked for."""
    found = {name.lower() for name in _STAGE.findall(text)}
    for stage in stages:
        if stage not in found:
            raise ConfigError(
                f"{where} has no stage `{stage}`",
                why=f"its stages: {', '.join(sorted(found)) or 'none with a name'}",
                fix=f"end it with `FROM scratch AS {stage}`, and copy there what packager's own"
                " dockerfiles/environment.Dockerfile does",
            )


def pinned(reference: str, digest: str) -> str:
    return reference if "@" in reference else f"{reference}@{digest}"


def unseen_base(output: str, reference: str) -> PackagerError | None:
    """What it means that a base could not be had which the engine has; None if it was had."""
    if not re.search(r"failed to resolve source metadata|pull access denied", output):
        return None
    return ConfigError(
        f"the builder can not have the base image {reference}",
        why="the engine has it, but the builder that `docker buildx` uses is not the engine's own,"
        f" and takes images from registries:\n{complaints(output)[-1]}",
        fix="build with the engine's own, BUILDX_BUILDER=default; or name a base image of a"
        " registry: --base-image",
    )


def build_failure(output: str, recipe: Recipe) -> PackagerError:
    """What a failed build means. Only failures are read; success is told by exit status."""
    said = failed_step(output)
    shown = "\n".join(said[-SHOWN_LINES:]) or "\n".join(complaints(output))
    told = re.search(r"^packager: (\w+): (.*)$", "\n".join(said), re.MULTILINE)
    kind, words = (told[1], told[2]) if told else ("", "")
    theirs = [line for line in said if not line.startswith("packager: ")]
    own_words = "\n".join(_backend_words(theirs)[-SHOWN_LINES:])
    if kind == "architecture":
        return no_variant(recipe.base.reference, recipe.target.arch.oci_platform, words)
    if kind == "python":
        return ConfigError(
            f"{recipe.base.reference} has no Python {recipe.target.python}",
            why=words,
            fix="choose another with --base-image, or add what brings it to `build-packages`",
        )
    if kind == "packages":
        return CommandError(
            f"the build packages can not be installed in {recipe.base.reference}",
            why=f"{words}\n{own_words}",
            fix="correct `build-packages`: names as the base image's package manager knows them",
        )
    if unreachable := _UNREACHABLE.search("\n".join(theirs)):
        return CommandError(
            "the package index can not be reached from inside the build",
            why=unreachable[0] if len(said) < 2 else own_words,
            fix="inside a build, localhost is the build itself: use an address that the engine"
            " reaches, check the proxy, and let it trust your authority with SSL_CERT_FILE",
        )
    if kind == "compile":
        return CommandError(
            f"{words} can not be compiled for {recipe.place}",
            why=own_words,
            fix="name the compilers and headers that it lacks as the base image's package manager"
            " does: build-packages in [tool.packager]",
        )
    return CommandError(
        f"the build for {recipe.place} failed",
        why=shown,
        fix="see the step's own words above"
        + ("" if recipe.where.name == "environment.Dockerfile" else f", and {recipe.where}"),
    )


_UNREACHABLE: Final = re.compile(
    r".*(NewConnectionError|ConnectTimeoutError|Connection refused|Network is unreachable"
    r"|Temporary failure in name resolution|Name or service not known|No route to host"
    r"|CERTIFICATE_VERIFY_FAILED|ProxyError|40[13] Client Error|User for \S+:).*"
)


def failed_step(output: str) -> list[str]:
    """The lines that the failed step itself wrote, of BuildKit's plain progress."""
    failed = re.search(r"^#(\d+) ERROR: ", output, re.MULTILINE)
    if failed is None:
        return []
    lines = re.findall(rf"^#{failed[1]} \d+\.\d+ ?(.*)$", output, re.MULTILINE)
    return [line.rstrip() for line in lines if line.strip()]


def failed_instruction(output: str) -> str:
    """The failed step's instruction, as in `RUN dnf install -y gcc`; empty where none is told."""
    failed = re.search(r"^#(\d+) ERROR: ", output, re.MULTILINE)
    if failed is None:
        return ""
    told = re.search(rf"^#{failed[1]} \[[^\]]*\] (.*)$", output, re.MULTILINE)
    return told[1] if told else ""


def _backend_words(lines: list[str]) -> list[str]:
    """Of what pip says, what the build backend said, without the way through both of them."""
    begins = [n for n, line in enumerate(lines) if re.search(r"\[\d+ lines? of output\]$", line)]
    ends = [n for n, line in enumerate(lines) if line.strip() == "[end of output]"]
    if not begins or not ends or ends[-1] < begins[-1]:
        return lines
    words = textwrap.dedent("\n".join(lines[begins[-1] + 1 : ends[-1]])).splitlines()
    traced = [n for n, line in enumerate(words) if line.startswith("Traceback (most recent")]
    return [*words[: traced[0]], words[-1]] if traced and traced[0] else words


def engine_words(output: str) -> str:
    """Of a failed build, what tells of the engine and not of what was built."""
    told = [line for line in failed_step(output) if _ENGINES_FAULT.search(line)]
    return "\n".join((*told, *complaints(output)))


_ENGINES_FAULT: Final = re.compile(
    r"^exec \S+: exec format error$|no space left on device|disk quota exceeded", re.IGNORECASE
)
"""The first is of the kernel, before a step began; a compiler may say it of what it has built."""


def complaints(output: str) -> list[str]:
    """What BuildKit itself says of the failure, or the end of all it said."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return [line for line in lines if line.startswith("ERROR: ")][-3:] or lines[-SHOWN_LINES:]
