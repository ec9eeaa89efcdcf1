"""Names of images."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.errors import ConfigError
from packager.references import Reference, parse_reference

DIGEST = "sha256:" + "a1" * 32
NAMES = {
    "alpine": "docker.io/library/alpine",
    "alpine:3.20": "docker.io/library/alpine:3.20",
    "team/app": "docker.io/team/app",
    "index.docker.io/alpine": "docker.io/library/alpine",
    "localhost/app:v1": "localhost/app:v1",
    "localhost:5000/app": "localhost:5000/app",
    "[::1]:5000/app": "[::1]:5000/app",
    f"ghcr.io/a/b/c:v1@{DIGEST}": f"ghcr.io/a/b/c:v1@{DIGEST}",
    "public.ecr.aws/emr-serverless/spark/emr-7.13.0:latest": (
        "public.ecr.aws/emr-serverless/spark/emr-7.13.0:latest"
    ),
}


@pytest.mark.parametrize("text", NAMES)
def test_names_are_read_as_docker_reads_them(text: str) -> None:
    assert NAMES[text] == str(parse_reference(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "App",
        "a b",
        "a:",
        "a:-x",
        "host.io/",
        "a@sha256:12",
        "a@",
        "http://a.io/b",
        "a//b",
        "a.io/_b",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not the name of an image"):
        parse_reference(text)


def test_a_digest_counts_before_a_tag() -> None:
    reference = parse_reference(f"a.io/b:v1@{DIGEST}")
    assert reference.version == DIGEST
    assert parse_reference("a.io/b:v1").version == "v1"
    assert parse_reference("a.io/b").version == "latest"


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("localhost:80", True),
        ("127.0.0.1:5", True),
        ("127.1.io", False),
        ("a.io", False),
    ],
)
def test_only_this_machine_is_local(host: str, *, local: bool) -> None:
    assert Reference(host=host, repository="a").local is local


_names = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,3})?", fullmatch=True)


@given(
    host=st.sampled_from(["a.io", "localhost:5000", "docker.io", "1.2.3.4:443"]),
    parts=st.lists(_names, min_size=2, max_size=4),
    tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}|", fullmatch=True),
    digest=st.sampled_from(["", DIGEST]),
)
def test_a_reference_reads_back_from_its_text(
    host: str, parts: list[str], tag: str, digest: str
) -> None:
    reference = Reference(host=host, repository="/".join(parts), tag=tag, digest=digest)
    assert reference == parse_reference(str(reference))
