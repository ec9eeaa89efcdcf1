"""Pushes of images on bad days: registries that refuse, fail or say nothing, kills, and rivals."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from packager.adapters.registry.pulls import describe
from packager.references import parse_reference
from tests.command import Command
from tests.images import Made, layout, write_layout
from tests.index import Index
from tests.integration.test_image_build import BASE, Place, place
from tests.integration.test_pack import make_project
from tests.mirror import Answer, Mirror, mirror, says, stalls
from tests.waiting import until

__all__ = ["place"]

DENIED = b'{"errors":[{"code":"DENIED","message":"ecr:InitiateLayerUpload"}]}'
TAKEN = b'{"errors":[{"code":"TAG_INVALID","message":"The image tag already exists"}]}'


def registry_that(answers: dict[str, Answer]) -> Answer:
    """By method, and by the first of the words that the address has."""

    def answer(served: Mirror, client: socket.socket) -> None:
        line = served.requests[-1].splitlines()[0]
        for words, given in answers.items():
            if all(word in line for word in words.split()):
                given(served, client)
                return
        raise AssertionError(line)

    return answer


BAD: dict[str, tuple[dict[str, Answer], str, str, str]] = {
    "asks for a name": (
        {"": says(401, b"", 'WWW-Authenticate: Basic realm="x"')},
        "does not know who asks",
        "401",
        "docker login 127.0.0.1",
    ),
    "does not allow it": (
        {"HEAD": says(404), "POST": says(403, DENIED)},
        "does not allow mounting|does not allow uploading",
        "ecr:InitiateLayerUpload",
        "ask for the right",
    ),
    "is asked too often": ({"": says(429)}, "looking for", "429", "wait, or log in"),
    "fails": ({"": says(500)}, "looking for", "500; tried 2 times", "try again later"),
    "says nothing": ({"": stalls()}, "looking for", "sent nothing for 1 s", "network"),
    "has no such repository": (
        {
            "HEAD": says(404),
            "POST": says(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}'),
        },
        "has no repository team/shop",
        "404",
        "create it",
    ),
    "lets no tag be moved": (
        {"HEAD manifests": says(404), "HEAD": says(200), "PUT manifests": says(400, TAKEN)},
        "v1 of .* is taken",
        "already exists",
        "another tag",
    ),
    "has another manifest in the end": (
        {
            "HEAD manifests": says(200, b"", f"Docker-Content-Digest: sha256:{'0' * 64}"),
            "HEAD": says(200),
            "PUT manifests": says(201),
        },
        "is not what was pushed",
        "somebody else",
        "push again",
    ),
}


@pytest.mark.tools
@pytest.mark.parametrize("day", BAD)
def test_a_registry_that(
    day: str, packager: Command, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, what, why, fix = BAD[day]
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "1")
    root = make_project(tmp_path / "project")
    base = write_layout(tmp_path / "base", layout(BASE))
    with mirror(registry_that(answers)) as served:
        named = f"{served.url.partition('://')[2]}/team/shop:v1"
        got = packager("image", "build", "--base-image", base, "--push", named, cwd=root)
    assert got.code == 4, got.err
    told = got.error
    assert any(_found(words, told[0]) for words in what.split("|")), told
    assert why in told[1]
    assert fix in told[2]
    assert not json.loads(next((root / "dist").glob("*.packager.json")).read_text()).get("images")


def _found(pattern: str, text: str) -> bool:
    head, _, tail = pattern.partition(" .* ")
    return head in text and tail in text


def started(place: Place, named: str, base: Path, store: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "packager", "image", "build", "--base-image", base, "--push", named],
        cwd=place.project,
        env={**os.environ, "PACKAGER_CACHE_DIR": str(store)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.docker
def test_who_is_killed_during_a_push_leaves_nothing_half_and_starts_again(
    place: Place, packager: Command, tmp_path: Path
) -> None:
    large = BASE.over({f"usr/lib/{n}": Made(text=os.urandom(20_000_000)) for n in range(3)})
    base = write_layout(tmp_path / "base", layout(large))
    named = place.reference("killed/shop") + ":v1"
    reference = parse_reference(named)
    push = started(place, named, base, tmp_path / "store")
    until(lambda: "killed/shop/blobs/uploads" in place.registry.log.read_text())
    push.send_signal(signal.SIGKILL)
    push.communicate()
    assert push.returncode == -signal.SIGKILL
    assert place.client.find_manifest(reference) is None
    got = place.build(packager, "--push", named, base=str(base))
    assert got.code == 0, got.err
    assert describe(place.client, reference, "linux/amd64").manifest.size > 60_000_000


@pytest.mark.docker
def test_two_pushes_at_once_make_one_image(place: Place, tmp_path: Path) -> None:
    base = write_layout(tmp_path / "base", layout(BASE))
    named = place.reference("rivals/shop") + ":v1"
    both = [started(place, named, base, tmp_path / f"store{n}") for n in range(2)]
    said = [one.communicate() for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert said[0][0] == said[1][0]
    found = place.client.find_manifest(parse_reference(named))
    assert found is not None
    assert said[0][0].strip().endswith(found.digest)
