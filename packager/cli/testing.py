"""`packager test`: a project's own tests, in the release's image."""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from packager.cli.options import (
    Arch,
    BaseImage,
    Out,
    ProjectPath,
    Python,
    Quiet,
    Release,
    host_arch,
    pairs,
    settings_of,
)
from packager.console import Console
from packager.errors import ConfigError, PackagerError

if TYPE_CHECKING:  # `packager --help` must not wait for what only commands need
    from packager.recorded import Found
    from packager.target import Target

AFTER: Final = "arguments after --"


class ForPytest(TyperCommand):
    """A command that leaves what stands after `--` to another."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[AFTER] = tuple(args[at + 1 :])
        parsed: list[str] = super().parse_args(ctx, args[:at])
        return parsed


def suite(
    context: typer.Context,
    path: ProjectPath = None,
    release: Release = None,
    arch: Arch = None,
    python: Python = None,
    record: Annotated[
        Path | None,
        typer.Option("--record", metavar="FILE", help="Record of what to test; else one in dist."),
    ] = None,
    base_image: BaseImage = None,
    image: Annotated[
        str | None,
        typer.Option(
            "--image", metavar="IMAGE", help="Test a custom image, which has the environment."
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="NAME", help="Dependency group that tests need."),
    ] = None,
    extra: Annotated[
        list[str] | None, typer.Option("--extra", metavar="NAME", help="Extra that tests need.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML there.")
    ] = None,
    coverage: Annotated[
        Path | None,
        typer.Option("--coverage", metavar="FILE", help="Measure, and write Cobertura XML there."),
    ] = None,
    timeout: Annotated[
        int | None,
        typer.Option(
            "--timeout", metavar="SECONDS", min=1, help="Limit [1800; emulated, three times that]."
        ),
    ] = None,
    variable: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME=VALUE", help="Variable for the tests; of yours, none."),
    ] = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Run the project's tests in the release's image, as packed.

    With pytest, as the job's user, without a network. What stands after `--` goes to pytest.
    """
    from packager.adapters import connect, store_root
    from packager.adapters.engine import connect as connect_engine
    from packager.adapters.limit import in_use
    from packager.adapters.testruns import EngineBench
    from packager.output import write_data
    from packager.testruns.run import Asked, run_tests, subjects
    from packager.testruns.suite import numbered, verdict

    console = Console(quiet=quiet)
    flags = {
        "release": release,
        "arch": arch,
        "python": python,
        "base_image": base_image,
        "test_groups": group,
        "test_extras": extra,
        "out": out,
    }
    project, settings = settings_of(path, flags)
    assert project is not None  # noqa: S101  # it is required
    asked = Asked(
        arguments=context.meta[AFTER],
        image=image,
        junit=junit is not None,
        coverage=coverage is not None,
        limit_s=timeout,
        variables=tuple(pairs("--env", "NAME=VALUE", variable).items()),
    )
    chosen: tuple[tuple[Target, Found | None], ...]
    if image is None:
        folder = project.root / settings.out
        chosen = subjects(record, folder, settings, named=bool(arch), machine=host_arch())
    elif record is not None:
        raise ConfigError("--image and --record exclude each other", fix="keep one of them")
    else:
        chosen = tuple((target, None) for target in settings.targets())
    if settings.offline:
        os.environ["UV_OFFLINE"] = "1"
    ports = connect(
        root=project.root, cache_dir=settings.cache_dir, env=os.environ, say=console.say
    )
    bench = EngineBench(
        engine=connect_engine(os.environ), say=console.say, pull=not settings.offline
    )
    arches = [target.arch.name for target, _ in chosen]
    errors: dict[str, PackagerError] = {}
    store = store_root(settings.cache_dir)
    with in_use(store, limit=settings.cache_limit, say=console.say):
        for target, found in chosen:
            name = target.arch.name
            with tempfile.TemporaryDirectory(prefix="packager-test-") as temporary:
                run, ended = run_tests(
                    project,
                    target,
                    found,
                    settings,
                    asked,
                    ports=ports,
                    bench=bench,
                    folder=Path(temporary),
                    say=console.say,
                    out=_to_stdout,
                )
            for option, file, data in (
                ("--junit", junit, ended.junit),
                ("--coverage", coverage, ended.coverage),
            ):
                if file is not None and data is not None:
                    write_data(numbered(file, name, arches), data, option=option)
            error = verdict(ended, run)
            if error is not None:
                errors[name] = error
            how = error.what if error else "all tests passed"
            console.say(f"{target.release.label} {name}: {how}")
    if errors:
        failed = ", ".join(f"linux/{name}" for name in errors)
        worst = max(errors.values(), key=lambda error: error.exit_code)
        worst.what = f"{worst.what} for {failed}"
        raise worst


def _to_stdout(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


command = typer.Typer(add_completion=False, rich_markup_mode=None)
command.command("test", cls=ForPytest)(suite)
