"""What Docker is asked to build, and what its failures mean."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from packager.adapters.buildsecrets import build_secrets, pip_configuration
from packager.adapters.dockerfiles import dockerfiles
from packager.dockerbuild import (
    Base,
    Recipe,
    Stage,
    arguments,
    build_failure,
    engine_words,
    failed_step,
    pins_text,
    require_stages,
    unseen_base,
)
from packager.errors import CommandError, ConfigError, PackagerError
from packager.releases import find_release, known_releases
from packager.target import ARCHES, Target

DIGEST = "sha256:" + "1" * 64
TARGET = Target(
    release=find_release("emr-7.13.0", known_releases()), arch=ARCHES["arm64"], python="3.11"
)
RECIPE = Recipe(
    target=TARGET,
    base=Base(reference="registry.example/spark:7", digest=DIGEST, local=False),
    dockerfile="FROM scratch AS wheels\n",
    where=Path("/dockerfiles/environment.Dockerfile"),
    steps="s",
    build_packages=("gcc", "make"),
    fresh=False,
)


def test_the_command_line_names_everything_and_holds_no_secret() -> None:
    found = arguments(
        RECIPE,
        "wheels",
        context=Path("/a b/context"),
        secrets={"pip": Path("/s/pip"), "ca": Path("/s/ca")},
        out=Path("/a b/out"),
        own_builder=True,
    )
    assert found == [
        "docker", "buildx", "build", "--progress=plain", "--provenance=false",
        "--platform", "linux/arm64", "--file", "/a b/context/Dockerfile", "--target", "wheels",
        f"--build-arg=BASE_IMAGE=registry.example/spark:7@{DIGEST}",
        "--build-arg=PYTHON=3.11", "--build-arg=INTERPRETER=/usr/bin/python3.11",
        "--build-arg=BUILD_PACKAGES=gcc make",
        "--secret=id=ca,src=/s/ca", "--secret=id=pip,src=/s/pip",
        "--output", "type=local,dest=/a b/out", "/a b/context",
    ]  # fmt: skip
    fresh = arguments(
        replace(RECIPE, fresh=True),
        "wheels",
        context=Path("/c"),
        secrets={},
        out=Path("/o"),
        own_builder=True,
    )
    assert "--no-cache" in fresh


@pytest.mark.parametrize(
    ("reference", "local", "own_builder", "named"),
    [
        ("a/b:1", False, True, f"a/b:1@{DIGEST}"),
        ("a/b:1", True, False, f"a/b:1@{DIGEST}"),
        ("a/b:1", True, True, "a/b:1"),  # an engine finds what was made there by name only
        (f"a/b@{DIGEST}", False, False, f"a/b@{DIGEST}"),
    ],
)
def test_images_are_built_from_by_digest(
    reference: str, *, local: bool, own_builder: bool, named: str
) -> None:
    base = Base(reference=reference, digest=DIGEST, local=local)
    assert base.named(own_builder=own_builder) == named
    assert base.recorded == f"{reference.partition('@')[0]}@{DIGEST}"


def test_whatever_changes_the_result_changes_the_key() -> None:
    others = (
        replace(RECIPE, base=replace(RECIPE.base, digest="sha256:2")),
        replace(RECIPE, dockerfile="FROM x"),
        replace(RECIPE, steps="t"),
        replace(RECIPE, build_packages=("gcc",)),
        replace(RECIPE, target=replace(TARGET, arch=ARCHES["amd64"])),
        replace(RECIPE, target=replace(TARGET, python="3.9")),
    )
    keys = {RECIPE.key("a"), RECIPE.key("b"), *(other.key("a") for other in others)}
    assert len(keys) == 2 + len(others)
    same = replace(RECIPE, fresh=True, where=Path("/x"), base=replace(RECIPE.base, local=True))
    assert same.key("a") == RECIPE.key("a")


def test_pins_are_requirements_that_one_file_fulfils() -> None:
    wheels = [("b_c-2.0-py3-none-any.whl", "2" * 64), ("a-1-1x-cp311-cp311-linux.whl", "1" * 64)]
    assert pins_text(wheels) == (
        f"a==1 --hash=sha256:{'1' * 64}\nb_c==2.0 --hash=sha256:{'2' * 64}\n"
    )


def test_our_own_dockerfile_has_the_stages() -> None:
    path = dockerfiles() / "environment.Dockerfile"
    text = path.read_text(encoding="utf-8")
    require_stages(text, path, get_args(Stage))
    # It would be fetched from a registry that not everybody reaches.
    assert "# syntax" not in text
    scripts = sorted((dockerfiles() / "steps").glob("*.sh"))
    text += "".join(script.read_text(encoding="utf-8") for script in scripts)
    assert [script.name for script in scripts if f"/steps/{script.name}" not in text] == []


@pytest.mark.parametrize(
    ("text", "lacks", "has"),
    [
        ("FROM a AS wheels\n", "environment", "wheels"),
        ("from a as Environment\nFROM b", "wheels", "environment"),
        ("FROM a\n", "wheels", "none with a name"),
    ],
)
def test_a_dockerfile_without_a_stage_is_refused(text: str, lacks: str, has: str) -> None:
    with pytest.raises(ConfigError) as caught:
        require_stages(text, Path("/p/Dockerfile"))
    assert caught.value.what == f"/p/Dockerfile has no stage `{lacks}`"
    assert caught.value.why == f"its stages: {has}"


def output(*lines: str, step: str = "8") -> str:
    said = "".join(f"#{step} 1.{n:03} {line}\n" for n, line in enumerate(lines))
    return (
        "#1 [internal] load build definition\n#1 DONE 0.0s\n\n#7 0.1 of another step\n"
        f"#{step} [compiled 1/1] RUN sh /steps/compile.sh\n{said}"
        f'#{step} ERROR: process "/bin/sh -c sh" did not complete successfully: exit code: 1\n'
        "------\n > [compiled 1/1]:\n------\nERROR: failed to solve: process failed\n"
    )


def test_the_failed_step_s_own_words_are_found() -> None:
    assert failed_step(output("one", "  two  ", "")) == ["one", "  two"]
    assert failed_step("ERROR: failed to solve: nothing ran\n") == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("exec /bin/sh: exec format error", True),
        ("cc1: fatal error: x.o: No space left on device", True),
        ("./configure: ./conftest: cannot execute: exec format error", False),
        ("bash: gcc: no such image", False),
    ],
)
def test_what_a_step_says_of_the_engine_is_told_from_what_it_says_of_itself(
    line: str, told: bool
) -> None:
    assert (line in engine_words(output(line)).splitlines()) == told


def test_a_builder_that_does_not_see_the_engines_image_is_told() -> None:
    own = replace(RECIPE, base=replace(RECIPE.base, local=True))
    said = (
        "ERROR: failed to solve: registry.example/spark:7: failed to resolve source metadata for"
        " registry.example/spark:7: failed to do request\n"
    )
    error = unseen_base(said, own.base.reference)
    assert error is not None
    assert error.what == "the builder can not have the base image registry.example/spark:7"
    assert "failed to do request" in error.why
    assert unseen_base(output("error: x"), own.base.reference) is None


def failure(*lines: str) -> PackagerError:
    return build_failure(output(*lines), RECIPE)


def test_what_does_not_compile_is_told_with_the_end_of_its_output() -> None:
    lines = [f"line {n}" for n in range(100)]
    error = failure(*lines, "quick.c:1: fatal error", "packager: compile: quick")
    assert isinstance(error, CommandError)
    assert error.what == "quick can not be compiled for linux/arm64 in registry.example/spark:7"
    assert error.why.splitlines()[-1] == "quick.c:1: fatal error"
    assert len(error.why.splitlines()) == 20
    assert "build-packages" in error.fix


def test_of_what_pip_says_the_compiler_s_words_are_shown() -> None:
    frames = [f"        File {n}" for n in range(30)]
    error = failure(
        "error: subprocess-exited-with-error",
        "  ╰─> [34 lines of output]",
        "      cc -c quick.c",
        "      quick.c:1: error: 'valeu' undeclared",
        "      Traceback (most recent call last):",
        *frames,
        "      CalledProcessError: returned 1",
        "      [end of output]",
        "  note: This error originates from a subprocess.",
        "packager: compile: quick",
    )
    assert error.why == (
        "cc -c quick.c\nquick.c:1: error: 'valeu' undeclared\nCalledProcessError: returned 1"
    )


@pytest.mark.parametrize(
    ("lines", "kind", "what", "fix"),
    [
        (
            ["packager: python: the base image has no Python 3.11"],
            ConfigError,
            "registry.example/spark:7 has no Python 3.11",
            "--base-image",
        ),
        (
            ["E: Unable to locate package gc", "packager: packages: apt-get can not install gc"],
            CommandError,
            "the build packages can not be installed in registry.example/spark:7",
            "build-packages",
        ),
        (
            [
                "WARNING: Retrying: NewConnectionError: Connection refused",
                "packager: compile: quick",
            ],
            CommandError,
            "the package index can not be reached from inside the build",
            "localhost is the build itself",
        ),
        (["anything"], CommandError, "the build for linux/arm64 in registry", "own words"),
    ],
)
def test_a_failure_is_told_by_what_failed(
    lines: list[str], kind: type[PackagerError], what: str, fix: str
) -> None:
    error = failure(*lines)
    assert isinstance(error, kind)
    assert error.what.startswith(what)
    assert fix in error.fix
    assert error.why


def test_a_base_image_of_another_architecture_is_told() -> None:
    error = failure("packager: architecture: it is there for amd64")
    assert isinstance(error, ConfigError)
    assert error.what == "the base image registry.example/spark:7 has no linux/arm64 variant"
    assert error.why == "it is there for amd64"


# What a build is told of indexes.


def test_credentials_are_kept_apart_from_the_addresses(tmp_path: Path) -> None:
    env = {
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": "/dev/null",
        "UV_DEFAULT_INDEX": "https://me:p%20w@one.example:8443/simple",
        "UV_INDEX": "two=http://two.example/simple file:///not/there",
        "UV_INDEX_TWO_USERNAME": "you",
        "UV_INDEX_TWO_PASSWORD": "x",
    }
    text, logins = pip_configuration(tmp_path, env)
    assert text.splitlines() == [
        "[global]",
        "index-url = https://one.example:8443/simple",
        *("extra-index-url =", "    http://two.example/simple"),
        *("trusted-host =", "    two.example"),
    ]
    assert logins.splitlines() == [
        'machine one.example login me password "p w"',
        "machine two.example login you password x",
    ]


def test_where_uv_is_told_of_no_index_pip_is_asked(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://of.pip/simple\n")
    env = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    env["PIP_EXTRA_INDEX_URL"] = "https://more.example/simple"
    text, logins = pip_configuration(tmp_path, env)
    assert "index-url = https://of.pip/simple\n" in text
    assert "https://more.example/simple" in text
    assert logins == ""


def test_secrets_lie_in_files_of_this_user_alone_and_go(tmp_path: Path) -> None:
    env = {
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": "/dev/null",
        "https_proxy": "http://u:pr%2Fox@proxy.example:1",
        "UV_DEFAULT_INDEX": "https://me:pass@one.example/simple",
    }
    with build_secrets(tmp_path, env) as secrets:
        assert set(secrets.files) == {"pip", "netrc", "proxy"}
        for path in secrets.files.values():
            assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (
                0o600,
                0o700,
            )
        assert {"pass", "pr/ox", "pr%2Fox"} <= set(secrets.values)
        assert "pass" not in secrets.files["pip"].read_text()
    assert not path.parent.exists()
