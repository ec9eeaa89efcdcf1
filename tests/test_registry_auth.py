"""What `docker login` left, and what registries ask for."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from packager.adapters.registry.auth import Challenge, Login, docker_logins, parse_challenge
from packager.adapters.registry.refusals import refusal
from packager.errors import ConfigError
from packager.references import parse_reference

PAIR = base64.b64encode(b"me:se:cret").decode()


def config(folder: Path, document: Any) -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    return {"DOCKER_CONFIG": str(folder), "HOME": str(folder)}


@pytest.mark.parametrize("key", ["reg.io", "https://reg.io", "https://reg.io/v1/", "reg.io/v2/"])
def test_a_login_is_found_however_docker_wrote_its_host(key: str, tmp_path: Path) -> None:
    env = config(tmp_path, {"auths": {"other.io": {"auth": "eDp5"}, key: {"auth": PAIR}}})
    assert docker_logins(env)("reg.io") == Login(user="me", password="se:cret")
    assert docker_logins(env)("g.io") is None


def test_docker_hub_has_a_key_of_its_own(tmp_path: Path) -> None:
    env = config(tmp_path, {"auths": {"https://index.docker.io/v1/": {"auth": PAIR}}})
    assert docker_logins(env)("docker.io") == Login(user="me", password="se:cret")


def test_an_identity_token_counts_before_a_password(tmp_path: Path) -> None:
    env = config(tmp_path, {"auths": {"a.io": {"auth": PAIR, "identitytoken": "tok"}}})
    assert docker_logins(env)("a.io") == Login(identity_token="tok")


def test_no_configuration_is_no_login(tmp_path: Path) -> None:
    assert docker_logins({"DOCKER_CONFIG": str(tmp_path)})("a.io") is None


@pytest.mark.parametrize("text", ["{", '{"auths": {"a.io": {"auth": "*"}}}'])
def test_broken_configuration_is_told_without_what_is_in_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError):
        docker_logins({"DOCKER_CONFIG": str(tmp_path)})("a.io")


def test_secrets_are_in_no_repr() -> None:
    assert "secret" not in repr(Login(user="a", password="secret", identity_token="secret"))


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        ('Basic realm="x, y"', Challenge(scheme="basic", realm="x, y")),
        (
            'Bearer realm="https://a/t",service="s",scope="repository:a:pull,push"',
            Challenge(scheme="bearer", realm="https://a/t", service="s"),
        ),
        (
            "bearer realm=https://a/t , service=s",
            Challenge(scheme="bearer", realm="https://a/t", service="s"),
        ),
        ("Negotiate", None),
        ("", None),
    ],
)
def test_challenges_are_read(header: str, challenge: Challenge | None) -> None:
    assert challenge == parse_challenge(header)


@pytest.mark.parametrize(
    ("status", "code", "message", "what", "fix"),
    [
        (401, "UNAUTHORIZED", "no", "does not know who asks", "docker login a.io"),
        (403, "DENIED", "no", "does not allow pushing", "docker login a.io"),
        (404, "NAME_UNKNOWN", "no", "has no repository b", "create it"),
        (404, "MANIFEST_UNKNOWN", "no", "a.io/b:v1 is not there", "push it first"),
        (400, "TAG_INVALID", "exists already", "v1 of a.io/b is taken", "another tag"),
        (413, "", "", "nothing that large", "keeper"),
        (418, "", "", "refuses pushing", "see what it says"),
    ],
)
def test_refusals_lead_on(status: int, code: str, message: str, what: str, fix: str) -> None:
    content = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    error = refusal(status, content, parse_reference("a.io/b:v1"), "pushing")
    assert what in error.what
    assert fix in error.fix
    assert (status, code) == (error.status, error.code)


def test_ecr_has_logins_of_its_own() -> None:
    name = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/b"
    error = refusal(401, b"", parse_reference(name), "pushing")
    assert "aws ecr get-login-password --region eu-west-1 | docker login" in error.fix
