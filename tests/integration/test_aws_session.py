"""How AWS is asked, and how each way in which that fails is told."""

import socket
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from packager.adapters.aws.failures import explained
from packager.adapters.aws.session import Session, open_session
from packager.errors import CommandError, ConfigError, PackagerError
from packager.settings import Settings
from tests.rig.aws import ACCOUNT, Cloud

pytestmark = pytest.mark.tools

ENV = {"AWS_DEFAULT_REGION": "us-east-1"}


def session(**settings: Any) -> Session:
    return open_session(Settings(**settings), ENV)


def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text, encoding="ascii")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))


def test_it_says_who_asks(cloud: Cloud) -> None:
    assert session().account() == ACCOUNT
    assert session().identity()[1].endswith(":user/moto")


def test_the_service_is_told_who_calls(cloud: Cloud) -> None:
    agents = []
    client = session().client("s3")
    client.meta.events.register(
        "before-send", lambda request, **_: agents.append(request.headers["User-Agent"])
    )
    client.list_buckets()
    assert b" packager/" in agents[0]


@pytest.mark.parametrize(
    ("setting", "env", "region"),
    [
        ("a-b-1", {"AWS_REGION": "c-d-1"}, "a-b-1"),
        (None, {"AWS_REGION": "c-d-1", "AWS_DEFAULT_REGION": "e-f-1"}, "c-d-1"),
        (None, {"AWS_DEFAULT_REGION": "e-f-1"}, "e-f-1"),
        (None, {}, "g-h-1"),
    ],
)
def test_the_region_comes_from_where_the_command_line_has_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str | None,
    env: dict[str, str],
    region: str,
) -> None:
    profiles(tmp_path, monkeypatch, "[default]\nregion = g-h-1\n")
    assert open_session(Settings(region=setting), env).region == region


def test_the_partition_is_the_regions() -> None:
    found = [session(region=r).partition for r in ("eu-west-1", "cn-north-1", "us-gov-west-1")]
    assert found == ["aws", "aws-cn", "aws-us-gov"]


def test_a_region_that_can_not_be_is_told() -> None:
    with pytest.raises(ConfigError, match="nowhere is not a Region of AWS"):
        _ = session(region="nowhere").partition


def test_without_a_region_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(ConfigError, match="no AWS Region is given"):
        open_session(Settings(), {})


def test_a_profile_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(ConfigError) as raised:
        session(profile="nobody")
    assert "nobody" in raised.value.why


@pytest.mark.parametrize(
    ("path_style", "url"),
    [(True, "https://s3.amazonaws.com/one/two"), (False, "https://one.s3.amazonaws.com/two")],
)
def test_buckets_are_asked_for_by_path_where_it_is_set_up(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, path_style: bool, url: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    client = session(path_style=path_style).client("s3")
    signed = client.generate_presigned_url("get_object", Params={"Bucket": "one", "Key": "two"})
    assert signed.split("?")[0] == url


def test_how_often_is_tried_is_ours_unless_somebody_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert session().retries
    assert not open_session(Settings(), {**ENV, "AWS_MAX_ATTEMPTS": "1"}).retries
    profiles(tmp_path, monkeypatch, "[default]\nretry_mode = adaptive\n")
    adaptive = session()
    assert not adaptive.retries
    assert adaptive.client("s3").meta.config.retries["mode"] == "adaptive"


def told(code: str, message: str, **words: str) -> PackagerError:
    answer: Any = {"Error": {"Code": code, "Message": message}}
    with pytest.raises(PackagerError) as raised, explained("it fails", **words):
        raise ClientError(answer, "PutObject")
    assert isinstance(raised.value, CommandError)
    assert raised.value.what == "it fails"
    return raised.value


@pytest.mark.parametrize(
    ("code", "why", "fix"),
    [
        ("ExpiredToken", "expired", "log in again"),
        ("RequestTimeTooSkewed", "clock", "clock"),
        ("InvalidAccessKeyId", "does not accept", "AWS_ACCESS_KEY_ID"),
        ("SlowDown", "slow down", "later"),
        ("ThrottlingException", "slow down", "later"),
        ("PermanentRedirect", "another Region", "--region"),
        ("NoSuchBucket", "not there", "name"),
        ("InternalError", "failed at every try", "later"),
        ("Peculiar", "AWS says Peculiar: said so", ""),
    ],
)
def test_each_refusal_is_told_apart(code: str, why: str, fix: str) -> None:
    error = told(code, "said so")
    assert why in error.why
    assert fix in error.fix


def test_what_is_denied_names_the_permission() -> None:
    error = told("AccessDenied", "Access Denied", permission="s3:PutObject on arn:aws:s3:::b/k")
    assert error.why == "AWS denies it (Access Denied)"
    assert "s3:PutObject on arn:aws:s3:::b/k" in error.fix
    assert "another profile" in told("403", "Forbidden").fix


def test_no_password_or_signature_is_told() -> None:
    said = "at https://me:secret@proxy/ and X-Amz-Signature=abc&X-Amz-Security-Token=tok&a=b"
    assert told("Peculiar", said).why == (
        "AWS says Peculiar: at https://***@proxy/ and"
        " X-Amz-Signature=***&X-Amz-Security-Token=***&a=b"
    )


def test_without_credentials_nobody_is_asked(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CommandError) as raised:
        session().account()
    assert raised.value.why == "there are no AWS credentials"


def test_half_of_the_credentials_are_none(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CommandError) as raised:
        session().account()
    assert "credentials can not be had" in raised.value.why


def test_an_endpoint_that_is_not_there_is_named(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(CommandError) as raised:
        open_session(Settings(), {**ENV, "AWS_MAX_ATTEMPTS": "1"}).account()
    assert url in raised.value.why
    assert "AWS_ENDPOINT_URL" in raised.value.fix


def test_a_server_that_says_nothing_is_given_up(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(CommandError) as raised:
            open_session(Settings(aws_timeout=1), {"AWS_MAX_ATTEMPTS": "1", **ENV}).account()
    assert "timeout" in raised.value.why.lower()
