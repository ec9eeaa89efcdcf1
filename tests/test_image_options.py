"""Settings of images, and the names and Dockerfiles that follow from them."""

from pathlib import Path
from typing import Any

import pytest

from packager.errors import CommandError, ConfigError
from packager.imagebuild.dockerfile import ejected_text, stage_text
from packager.imagebuild.installing import install_failure, install_step
from packager.imagebuild.options import image_options, image_roles
from packager.imagebuild.tags import reference, require_name
from tests.conftest import Golden
from tests.test_record import RECORD

DIGEST = f"sha256:{'ab' * 32}"


def test_each_image_has_a_name_of_its_own() -> None:
    def named(named: str | None, **more: Any) -> str:
        return str(reference(named, RECORD, DIGEST, **{"alone": True, **more}))

    own = f"{RECORD.release}-{RECORD.arch}-abababababab"
    assert named(None) == f"docker.io/library/{RECORD.project}:{own}"
    assert named("host.example/team/jobs") == f"host.example/team/jobs:{own}"
    assert named("host.example/team/jobs:v1") == "host.example/team/jobs:v1"
    assert named("host.example/jobs:v1", alone=False) == f"host.example/jobs:v1-{RECORD.arch}"
    assert named("host.example/jobs:v1", role="driver") == "host.example/jobs:v1-driver"


@pytest.mark.parametrize("name", ["a/b:latest", f"a/b@{DIGEST}"])
def test_names_that_do_not_last_are_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        require_name(name)
    assert caught.value.fix


def test_an_executors_table_adds_to_what_all_have(tmp_path: Path) -> None:
    table = {
        "env": {"A": "1", "B": "1"},
        "packages": ["x"],
        "java": "/opt/{machine}",
        "executor": {"env": {"B": "2"}, "packages": ["y"], "commands": ["true"]},
    }
    assert image_roles(table) == ("driver", "executor")
    driver = image_options(table, tmp_path, role="driver", machine="aarch64")
    executor = image_options(table, tmp_path, role="executor", machine="aarch64")
    assert (driver.env, driver.packages, driver.commands) == ({"A": "1", "B": "1"}, ("x",), ())
    assert (executor.env, executor.packages) == ({"A": "1", "B": "2"}, ("x", "y"))
    assert (executor.commands, executor.java) == (("true",), "/opt/aarch64")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"enw": {}}, "did you mean 'env'"),
        ({"executor": {"package": []}}, "did you mean 'packages'"),
        ({"executor": 3}, "is not a table"),
        ({"executor": {"driver": {}}}, "known:"),
        ({"java": "jdk"}, "whole path"),
        ({"java": "/opt/{arch}"}, "machine"),
        ({"java": ["x"]}, "not a text"),
        ({"packages": "libgomp"}, "not a list"),
        ({"packages": ["a; rm -rf /"]}, "no package"),
        ({"packages": ["-y"]}, "no package"),
        ({"commands": [" "]}, "not a list of texts"),
        ({"commands": ["a\nUSER root"]}, "line"),
        ({"jars": [{"maven": "a:b:1"}]}, "GROUP:ARTIFACT:VERSION"),
        ({"jars": [3]}, "no jar"),
        ({"jars": ["a.zip"]}, "ends in .jar"),
        ({"env": {"A B": "1"}}, "no name of a variable"),
    ],
)
def test_what_can_not_be_is_told(table: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        image_options(table, tmp_path, role=("executor" if "executor" in table else ""))
    assert told in f"{caught.value} {caught.value.why} {caught.value.fix}"


def test_two_jars_of_one_name_are_told(tmp_path: Path) -> None:
    (tmp_path / "b-1.jar").write_bytes(b"")
    maven = {"maven": "a:b:1", "sha256": "0" * 64}
    with pytest.raises(ConfigError, match="has two files"):
        image_options(
            {"jars": ["b-1.jar", maven], "maven-repository": "https://maven.example"}, tmp_path
        )


def test_dockerfiles_say_what_is_run_and_copied(tmp_path: Path, golden: Golden) -> None:
    (tmp_path / "log.properties").write_text("")
    table = {
        "packages": ["libgomp", "java-21-amazon-corretto"],
        "commands": ["install -d /var/opt/models"],
        "env": {"MODE": 'a $b "c" \\d'},
        "labels": {"team": "data"},
        "files": {"log.properties": "/etc/spark/conf/a file"},
        "jars": [{"maven": "org.x:y:1:all", "sha256": "0" * 64}],
        "maven-repository": "https://maven.example/releases/",
    }
    options = image_options(table, tmp_path)
    assert options.maven[0].url == "https://maven.example/releases/org/x/y/1/y-1-all.jar"
    golden.check("image-stage.Dockerfile", stage_text(options))
    golden.check("image-ejected.Dockerfile", ejected_text(RECORD, options, "base.example/spark:1"))


def test_records_archives_are_copied_with_what_changes_most_last(tmp_path: Path) -> None:
    lines = ejected_text(RECORD, image_options({}, tmp_path), "b").splitlines()
    copied = [line.rpartition("/")[2] for line in lines if line.startswith("COPY")]
    assert copied == ["environment", "app"]
    assert {archive.kind for archive in RECORD.archives} == {"environment", "app"}


OUT_OF_REACH = """\
Amazon Linux 2023 repository                    0.0  B/s |   0  B     04:54
Errors during downloading metadata for repository 'amazonlinux':
  - Curl error (6): Couldn't resolve host name for https://cdn.amazonlinux.com/al2023/core [x]
Error: Failed to download metadata for repo 'amazonlinux': Cannot prepare internal mirrorlist
Ignoring repositories: amazonlinux
No match for argument: jq
Error: Unable to find a match: jq
"""


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("No match for argument: jqq\nError: Unable to find a match: jqq git1\n", "jqq, git1"),
        ("error: No package matches 'jqq'\n", "jqq"),
        ("No package jqq available.\nError: Not tolerating missing names on install\n", "jqq"),
        ("Reading package lists...\nE: Unable to locate package jqq\n", "jqq"),
        ("Package 'jqq' has no installation candidate\n", "jqq"),
    ],
    ids=["dnf", "microdnf", "yum", "apt-get", "apt-get, gone"],
)
def test_packages_that_a_base_s_system_does_not_know_are_named(said: str, names: str) -> None:
    error = install_failure(install_step(["jqq"]), said.splitlines(), "spark:7")
    assert isinstance(error, ConfigError)
    assert error.what == f"the system of spark:7 has no package {names}"
    assert "`packages`" in error.fix


@pytest.mark.parametrize(
    "said",
    [
        OUT_OF_REACH,
        "Could not retrieve mirrorlist http://amazonlinux.default.amazonaws.com/2 error was\n",
        "Temporary failure resolving 'packages.example.org'\nE: Unable to locate package jq\n",
    ],
    ids=["dnf", "yum", "apt-get"],
)
def test_repositories_out_of_reach_are_not_taken_for_wrong_names(said: str) -> None:
    error = install_failure(install_step(["jq"]), said.splitlines(), "spark:7")
    assert isinstance(error, CommandError)
    assert error.what == "the package manager of spark:7 can not reach its repositories"
    assert "proxies" in error.fix


def test_a_base_without_a_package_manager_is_told() -> None:
    error = install_failure(install_step(["jq"]), ["/bin/sh: 1: apt-get: not found"], "spark:7")
    assert isinstance(error, ConfigError)
    assert error.what == "the base image spark:7 has no package manager"


@pytest.mark.parametrize(
    ("step", "said"),
    [("RUN pip install x", "Could not resolve host"), (install_step(["jq"]), "disk is full")],
)
def test_what_is_not_known_of_a_failed_step_is_left_to_its_own_words(step: str, said: str) -> None:
    assert install_failure(step, [said], "spark:7") is None
