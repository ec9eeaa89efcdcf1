"""`packager image validate` as it is used: on files without an engine, and on an engine's images."""

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from packager.adapters.imagesources import engine as engine_images
from packager.adapters.imagesources.receiver import Received, receiving
from packager.layertree import index_layer
from tests.command import Command
from tests.images import BASE, layout, write_layout, write_tar
from tests.rig.engine import docker

RELEASE = ("--release", "emr-7.13.0")


@pytest.mark.tools
def test_files_are_judged_without_an_engine(
    packager: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    write_layout(tmp_path / "base", layout(BASE))
    wrong = BASE.over({"usr/lib/spark/bin/.wh.spark-submit": ""}, User="root")
    write_tar(tmp_path / "wrong.tar", layout(wrong))
    passed = packager("image", "validate", "base", *RELEASE, cwd=tmp_path)
    assert (passed.code, passed.out.splitlines()[-2]) == (0, "passed: 18 checks")
    command = ("image", "validate", "wrong.tar", *RELEASE, "--base-image", "base")
    failed = packager(*command, "--json", cwd=tmp_path)
    assert failed.code == 1
    (report,) = json.loads(failed.out).values()
    assert {f["check"] for f in report["findings"]} == {"IMG002", "IMG007", "IMG008"}
    waived = [f"--waive={code}=planted" for code in ("IMG002", "IMG007", "IMG008")]
    assert packager(*command, *waived, cwd=tmp_path).code == 0
    for form in ("junit", "sarif"):
        packager(*command, "--format", form, "--output", form, cwd=tmp_path)
        assert "IMG002" in (tmp_path / form).read_text()


@pytest.mark.tools
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("image",), 2, ""),
        (("image", "validate", "./gone.tar", *RELEASE), 2, "./gone.tar is not there"),
        (("image", "validate", "", *RELEASE), 2, "no image is named"),
        (("image", "validate", "base"), 2, "no EMR release is given"),
        (("image", "validate", "base", *RELEASE, "--type", "pig"), 2, "'pig' is not a type"),
        (("image", "validate", "base", *RELEASE, "--format", "xml"), 2, "'xml' is not a format"),
        (("image", "validate", "some/image:1", *RELEASE), 3, "nonexistent/docker.sock"),
    ],
)
def test_what_can_not_be_judged_is_told(
    packager: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    write_layout(tmp_path / "base", layout(BASE))
    got = packager(*arguments, cwd=tmp_path)
    assert got.code == code
    assert said in got.err


DOCKERFILE = """
FROM {base}
USER root
RUN rm /usr/lib/spark/bin/spark-submit /usr/lib/spark/jars/spark-sql_*.jar \\
 && : > /home/hadoop/job.py && chmod 600 /home/hadoop/job.py
ARG TOKEN
RUN echo building
ENV A=b=c JAVA_HOME=/usr/lib/jvm/java-21
ENTRYPOINT []
"""


@contextlib.contextmanager
def built(folder: Path, dockerfile: str, *options: str) -> Iterator[str]:
    """An image of the engine, for as long as the context lasts."""
    name = f"packager-tests/image-validate:{folder.name.lower()}"
    (folder / "Dockerfile").write_text(dockerfile)
    docker(
        "buildx",
        "build",
        "--load",
        "--quiet",
        "--provenance=false",
        "--tag",
        name,
        *options,
        str(folder),
    )
    try:
        yield name
    finally:
        docker("image", "rm", "--force", name)


@pytest.mark.docker
def test_an_image_is_judged_alike_on_the_engine_and_saved(
    packager: Command, tmp_path: Path, small_base: str
) -> None:
    found = {}
    token = ("--build-arg", "TOKEN=correct-horse")
    with built(tmp_path, DOCKERFILE.format(base=small_base), *token) as name:
        docker("save", name, "--output", str(tmp_path / "saved.tar"))
        for named in (name, "saved.tar"):
            got = packager("image", "validate", named, *RELEASE, "--json", cwd=tmp_path)
            assert got.code == 1, got.err
            (report,) = json.loads(got.out).values()
            found[named] = {(f["check"], f["severity"], f["what"]) for f in report["findings"]}
    pushed, saved = found.values()
    assert pushed == saved
    assert {f for f in saved if f[1] == "error"} == {
        ("IMG002", "error", "its user is root"),
        ("IMG005", "error", "JAVA_HOME is /usr/lib/jvm/java-21, which is not there"),
        ("IMG007", "error", "/usr/lib/spark/bin lacks `spark-submit`"),
        ("IMG007", "error", "/usr/lib/spark/jars lacks `spark-sql`"),
        ("IMG007", "error", "/usr/lib/jvm/java-21/bin is missing"),
        ("IMG012", "error", "1 path is closed to `hadoop`"),
        ("IMG013", "error", "the history holds a password"),
    }


SPOILT = """
FROM {base}
USER root
RUN cp /usr/lib/spark/jars/spark-sql_2.12-3.5.6.jar /usr/lib/spark/jars/spark-sql_2.12-3.5.5.jar \\
 && rm /usr/lib/spark/python/lib/pyspark.zip /usr/bin/bash
COPY pandas /usr/local/lib/python3.11/dist-packages/pandas-2.2.3.dist-info
ENV PYSPARK_DRIVER_PYTHON "= /usr/bin/python3.11"
ENV PATH=/opt/venv/bin:/usr/bin
USER hadoop:hadoop
ENTRYPOINT []
"""
FLATTENED = """
FROM {base} AS base
FROM scratch
COPY --from=base / /
ENV SPARK_HOME=/usr/lib/spark JAVA_HOME=/etc/alternatives/jre PYSPARK_PYTHON=/usr/bin/python3.11 \\
    PATH=/usr/lib/spark/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /home/hadoop
USER hadoop:hadoop
ENTRYPOINT ["/usr/bin/entrypoint.sh"]
"""


@pytest.mark.docker
def test_faults_of_a_built_image_are_found_beside_its_base(
    packager: Command, tmp_path: Path, small_base: str
) -> None:
    (tmp_path / "pandas").mkdir()
    (tmp_path / "pandas" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: pandas\nVersion: 2.2.3\nRequires-Dist: numpy>=1.26\n\n"
    )
    command = ("image", "validate", "--base-image", small_base, *RELEASE, "--json")
    with built(tmp_path, SPOILT.format(base=small_base)) as name:
        got = packager(*command, name, cwd=tmp_path)
    (report,) = json.loads(got.out).values()
    assert {(f["check"], f["severity"], f["what"]) for f in report["findings"]} == {
        ("IMG004", "warning", "its entry point is not set"),
        ("IMG008", "error", "1 file of the base is missing"),
        ("IMG014", "error", "/usr/lib/spark/python/lib lacks `pyspark.zip`"),
        (
            "IMG015",
            "error",
            "`pandas` 2.2.3 requires numpy>=1.26, which is not installed",
        ),
        ("IMG017", "error", "/usr/lib/spark/jars has spark-sql_2.12 in 2 versions"),
        (
            "IMG018",
            "error",
            "the value of PYSPARK_DRIVER_PYTHON begins with `=`, as after ENV NAME = value",
        ),
        ("IMG019", "error", "there is no `bash`"),
    }


@pytest.mark.docker
def test_a_flattened_base_is_compared_file_by_file(
    packager: Command, tmp_path: Path, small_base: str
) -> None:
    command = ("image", "validate", "--base-image", small_base, *RELEASE, "--json")
    with built(tmp_path, FLATTENED.format(base=small_base)) as name:
        got = packager(*command, name, cwd=tmp_path)
    (report,) = json.loads(got.out).values()
    assert got.code == 0
    assert {(f["check"], f["severity"]) for f in report["findings"]} == {("IMG008", "warning")}


REBUILT = """
FROM {base}
COPY --chmod=644 job.py /home/hadoop/job.py
"""


@pytest.mark.docker
def test_only_layers_that_are_not_known_are_asked_for(
    packager: Command, tmp_path: Path, small_base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the base of a rebuilt image nor anything of one that was judged before."""
    layers = tmp_path / "store" / "layers"
    command = ("image", "validate", "--base-image", small_base, *RELEASE)
    assert packager("image", "validate", small_base, *RELEASE, cwd=tmp_path).code == 0
    of_base = set(layers.iterdir())
    (tmp_path / "job.py").write_text("print()")
    with built(tmp_path, REBUILT.format(base=small_base)) as name:
        got = packager(*command, name, cwd=tmp_path)
        assert got.code == 0, got.out
        assert f"Reading {name}" in got.err
        (new,) = set(layers.iterdir()) - of_base
        assert list(json.loads(new.read_text().partition("\n")[2])["entries"])[-1:] == [
            "home/hadoop/job.py"
        ]
        again = packager(*command, name, cwd=tmp_path)
        assert (again.out, again.err) == (got.out, "")
        # An engine that can not push to this machine saves, and that gives the same.
        monkeypatch.setattr(engine_images, "_can_push", lambda _: False)
        monkeypatch.setenv("PACKAGER_CACHE_DIR", str(tmp_path / "other"))
        saved = packager(*command, name, cwd=tmp_path)
        assert saved.out == got.out
        assert {p.name for p in layers.iterdir()} == {
            p.name for p in (tmp_path / "other" / "layers").iterdir()
        }
        tags = docker("image", "inspect", "--format", "{{json .RepoTags}}", name)
        assert len(json.loads(tags)) == 1, "nothing is left"


@pytest.mark.docker
@pytest.mark.usefixtures("known_base")
def test_the_base_image_itself_passes(packager: Command, tmp_path: Path, base_image: str) -> None:
    got = packager("image", "validate", base_image, *RELEASE, cwd=tmp_path)
    assert got.code == 0, got.out + got.err


@pytest.mark.tools
@pytest.mark.parametrize("sent", [b"damaged", b"dam"], ids=["whole", "broken off"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_layer_that_breaks_off_on_its_way_is_not_taken_for_damaged(
    sent: bytes, *, chunked: bool
) -> None:
    """An engine sends it again."""

    def take(digest: str, chunks: Iterator[bytes]) -> None:
        index_layer(chunks, digest, mend="build it again")

    received = Received(target="sha256:1", take=take)
    head = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 7"
    body = b"7\r\n" + sent if chunked else sent
    if chunked and sent == b"damaged":
        body += b"\r\n0\r\n\r\n"
    with receiving(received), socket.create_connection(("127.0.0.1", received.port)) as there:
        where = f"/v2/{received.name}/blobs/uploads/1?digest=sha256:2"
        there.sendall(b"PUT " + where.encode() + b" HTTP/1.1\r\n" + head + b"\r\n\r\n" + body)
        there.shutdown(socket.SHUT_WR)
        while there.recv(1000):
            pass
    assert len(received.failed) == (sent == b"damaged")
