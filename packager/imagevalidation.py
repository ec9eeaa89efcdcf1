"""An image that somebody named is read, compared with its base, and judged."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from packager.checks.image import check_image
from packager.checks.image.python import job_python
from packager.checks.image.subject import Subject
from packager.checks.image.trial import check_trial
from packager.contents import ImageType
from packager.errors import ConfigError
from packager.findings import Report, joined, waive
from packager.imagepython import find_python
from packager.images import ImageFacts, observe, observe_documents
from packager.imagetrial import ImageTrial, Plan
from packager.layershelf import Shelf
from packager.oci import Blobs, files_in, image_in
from packager.releases import limits
from packager.settings import Settings
from packager.target import Target

GB: Final = 10**9
ENGINE: Final = "docker:"
REGISTRY: Final = "registry:"
"""Before a name, from where alone it is taken; the words of syft and grype."""


class ImageOpener(Protocol):
    """Where images are that are no files."""

    def opened(
        self, reference: str, platform: str, shelf: Shelf
    ) -> contextlib.AbstractContextManager[Blobs]:
        """The image's files, for as long as the context lasts; layers on the shelf may lack."""


class ImageSource(ImageOpener, Protocol):
    def has(self, reference: str) -> bool:
        """Whether an engine has it, so that nothing needs to be fetched."""


def validate_image(
    named: str,
    target: Target,
    kind: ImageType,
    settings: Settings,
    *,
    base: str | None,
    source: ImageSource,
    shelf: Shelf,
    trial: ImageTrial | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Judge the image `named`, a path or a reference, with the waivers of `settings`.

    Without a `base` it is compared with the release's own image if an engine has it, and if it is
    made from it. With a `trial`, programs are run in it as well. Raise `ConfigError` for what is no
    image, or not a whole one.
    """
    if trial is not None:
        _require_runnable(named, kind)
    facts = observed(named, target, base=base, source=source, shelf=shelf)
    subject = Subject(facts=facts, target=target, kind=kind)
    report = check_image(subject)
    if trial is not None and facts.read:
        seen = trial.try_out(plan_of(subject, named.removeprefix(ENGINE)))
        if seen.lacking:
            say(f"It has no {seen.lacking}, so functions on pandas data were not tried")
        report = joined(report, check_trial(seen))
    return waive(report, settings.waivers)


def _require_runnable(named: str, kind: ImageType) -> None:
    if kind != "spark":
        raise ConfigError(
            f"there are no run tests of {kind}",
            why="what is run are jobs of Spark",
            fix="leave --run out",
        )
    if Path(named).exists() or named.startswith(REGISTRY):
        raise ConfigError(
            f"{named} can not be run",
            why="an engine runs the images that it has itself",
            fix=f"docker load -i {named}, and name what it says; or leave --run out"
            if Path(named).is_file()
            else "bring it to the engine, and name it there; or leave --run out",
        )


def plan_of(subject: Subject, image: str) -> Plan:
    """What is to be run in an image, by what is in it."""
    facts, target = subject.facts, subject.target
    home = facts.expanded("$SPARK_HOME") or "/usr/lib/spark"
    asked = job_python(subject)
    python = find_python(facts, asked)
    jars = f"{home}/examples/jars"
    jar = next((n for n in facts.tree.names(jars) if n.startswith("spark-examples")), None)
    script = f"{home}/examples/src/main/python/pi.py"
    example: tuple[str, ...] = ()
    if jar is not None:
        example = ("--class", "org.apache.spark.examples.SparkPi", f"{jars}/{jar}", "10")
    elif facts.tree.find(script):
        example = (script, "4")
    return Plan(
        image=image,
        platform=target.arch.oci_platform,
        spark_home=home,
        python=f"/{python.path}" if python else "",
        env={} if facts.config.variable("PYSPARK_PYTHON") else {"PYSPARK_PYTHON": asked},
        example=example,
    )


def observed(
    named: str, target: Target, *, base: str | None, source: ImageSource, shelf: Shelf
) -> ImageFacts:
    """The image, beside its base where that is known; its documents alone if they say enough."""
    platform = target.arch.oci_platform
    own = f"{target.release.base_image}:latest" if target.release.base_image else None
    with contextlib.ExitStack() as stack:
        files = stack.enter_context(opened(named, platform, source, shelf))
        image = image_in(files, platform)
        foreign = files.holds and image.config.platform != platform
        if foreign or image.size > limits().image_gb * GB:
            return observe_documents(image, name=named)  # else gigabytes for nothing
        if base is None and own and own != named and source.has(own):
            beside = (stack.enter_context(opened(own, platform, source, shelf)), own)
            facts = observe(files, platform, name=named, base=beside, shelf=shelf)
            if facts.base is not None and facts.base.is_below:
                return facts
        below = None
        if base is not None:
            below = (stack.enter_context(opened(base, platform, source, shelf)), base)
        return observe(files, platform, name=named, base=below, shelf=shelf)


@contextlib.contextmanager
def opened(named: str, platform: str, source: ImageOpener, shelf: Shelf) -> Iterator[Blobs]:
    if not named:  # a variable of a shell that is not set
        raise ConfigError(
            "no image is named",
            why="its name is empty",
            fix="name a tar of `docker save`, an OCI layout, or an image of an engine or registry",
        )
    path = Path(named)
    if path.exists():
        yield files_in(path)
        return
    if named.startswith((".", "/", "~")) or path.suffix == ".tar":
        raise ConfigError(
            f"{named} is not there",
            fix="name a tar of `docker save`, an OCI layout, or an image of an engine or registry",
        )
    with source.opened(named, platform, shelf) as files:
        yield files
