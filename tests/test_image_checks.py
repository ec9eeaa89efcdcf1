"""Every check of images against planted faults of its own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from packager.checks.image import IMAGE_CHECKS, OF_DOCUMENTS, check_image
from packager.checks.image.java import jar_of
from packager.checks.image.subject import Subject
from packager.checks.rules import RULES
from packager.contents import ImageType, required_files
from packager.findings import Finding
from packager.images import ImageFacts, observe, observe_documents
from packager.oci import files_in, image_in
from packager.releases import find_release, known_releases
from packager.target import ARCHES, Target
from tests.images import (
    BASE,
    CONFIG,
    JAVA,
    SPARK,
    SPARK_BIN,
    SPARK_JARS,
    SYSTEM,
    Image,
    Made,
    folder,
    layout,
    program,
    symlink,
    write_layout,
)

Planted = Image | Callable[[ImageFacts], ImageFacts]


def target(label: str = "emr-7.13.0") -> Target:
    release = find_release(label, known_releases())
    return Target(release=release, arch=ARCHES["amd64"], python=release.python)


def observed(folder_: Path, image: Image, base: Image | None = None) -> ImageFacts:
    path = write_layout(folder_ / "image", layout(image))
    below = None
    if base is not None:
        below = (files_in(write_layout(folder_ / "base", layout(base))), "base:1")
    return observe(files_in(path), "linux/amd64", name="image", base=below)


def judged(
    facts: ImageFacts, label: str = "emr-7.13.0", kind: ImageType = "spark"
) -> tuple[Finding, ...]:
    return check_image(Subject(facts=facts, target=target(label), kind=kind)).findings


SITE = "usr/lib/python3.11/site-packages"


def distribution(folder_: str, name: str, version: str, *lines: str) -> dict[str, str]:
    """An installed distribution, as far as its metadata goes."""
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines]
    text = "\n".join(head) + "\n\nA long description.\nRequires-Dist: not-this\n"
    return {f"{folder_}/{name}-{version}.dist-info/METADATA": text}


def venv(where: str, python: str) -> dict[str, Made | str]:
    return {
        f"{where}/bin/python": symlink("/usr/bin/python3.11"),
        f"{where}/pyvenv.cfg": f"home = /usr/bin\nversion = {python}.2\n",
    }


KEY = (
    f"-----BEGIN RSA PRIVATE KEY-----\n{'MIIEpAIBAAKCAQEA7bq' * 3}\n-----END RSA PRIVATE KEY-----\n"
)
ARM = JAVA.replace(b"\x3e", b"\xb7")
HUGE = 11 * 10**9

PLANTED: dict[str, tuple[Planted, ...]] = {
    "IMG001": (replace(BASE, architecture="arm64"),),
    "IMG002": (
        BASE.over(User="root"),
        BASE.over(User=""),
        BASE.over(User="hadoop"),
        BASE.over({"etc/passwd": "root:x:0:0:root:/root:/bin/bash\n"}),
        BASE.over({"etc/.wh.passwd": ""}),
        BASE.over({"etc/group": "root:x:0:\n"}),
    ),
    "IMG003": (BASE.over(WorkingDir="/app"), BASE.over(WorkingDir="")),
    "IMG004": (
        BASE.over(Entrypoint=["/bin/sh", "-c"]),
        BASE.over(Entrypoint=None),
        BASE.over(Entrypoint=["/usr/bin/entrypoint.sh", "--verbose"]),
    ),
    "IMG005": (
        BASE.env(without=["SPARK_HOME"]),
        BASE.env("SPARK_HOME=/opt/spark"),
        BASE.env("JAVA_HOME="),
        BASE.env("JAVA_HOME=/usr/lib/jvm/java-21").over(
            {"usr/lib/jvm/java-21/bin/java": program()}
        ),
    ),
    "IMG006": (
        lambda facts: replace(facts, size=HUGE),
        lambda facts: replace(facts, unpacked=HUGE),
        lambda facts: replace(facts, size=HUGE * 6 // 7),
    ),
    "IMG007": (
        BASE.over({f"{SPARK_BIN}/.wh.spark-submit": ""}),
        BASE.over({f"{SPARK_JARS}/.wh.spark-sql_2.12-3.5.6.jar": ""}),
        BASE.over({f"{SPARK_JARS}/.wh..wh..opq": ""}),
        BASE.over({f"{SPARK_BIN}/spark-submit": Made(mode=0o644)}),
        BASE.over({"usr/lib/jvm/java-17/bin/java": symlink("/nowhere")}),
    ),
    "IMG008": (
        BASE.over({f"{SPARK_JARS}/spark-core_2.12-3.5.6.jar": "jar spark-core_2.12-3.5.6.jaR"}),
        BASE.over({f"{SPARK_JARS}/spark-core_2.12-3.5.6.jar": "longer than it was in the base"}),
        BASE.over({f"{SPARK_JARS}/.wh.spark-sql_2.12-3.5.6.jar": ""}),
        BASE.over({"etc/spark/conf/.wh..wh..opq": ""}),
        BASE.over({f"{SPARK_BIN}/spark-class": program(b"#!/bin/sh\n", mode=0o700)}),
        BASE.over({f"{SPARK_BIN}/spark-class": symlink("/opt/spark-class")}),
        BASE.over({f"{SPARK_BIN}/spark-class": Made(text=b"#!/bin/sh\n", mode=0o755, uid=999)}),
        # Flattened, which alone is a warning.
        replace(BASE, layers=[{**SYSTEM, **SPARK}]),
    ),
    "IMG009": (
        BASE.without(f"{SPARK_JARS}/spark-core_2.12-3.5.6.jar").over(
            {f"{SPARK_JARS}/spark-core_2.12-3.5.2.jar": ""}
        ),
        BASE.over({f"{SPARK_JARS}/spark-core_2.12-3.5.6-amzn-9.jar": ""}),
    ),
    "IMG010": (
        BASE.over({"usr/bin/.wh.python3.11": ""}),
        BASE.env("PYSPARK_PYTHON=/opt/python/bin/python3"),
        BASE.env("PYSPARK_PYTHON=python3.12"),
        BASE.env("PYSPARK_PYTHON=/usr/bin/python3.12").over({"usr/bin/python3.12": program()}),
        BASE.over({"usr/bin/python3.11": program(mode=0o700)}),
        BASE.over(
            {
                "usr/bin/python3.11": program(
                    b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(20)
                )
            }
        ),
        BASE.over({"usr/local/lib/python3.9/site-packages/numpy-2.0.2.dist-info/METADATA": ""}),
    ),
    "IMG011": (
        BASE.over({f"{SITE}/pyspark/__init__.py": ""}),
        BASE.over({f"{SITE}/pyspark_client-4.0.1.dist-info/METADATA": ""}),
        BASE.over({"usr/local/lib/python3.11/site-packages/py4j/__init__.py": ""}),
    ),
    "IMG012": (
        BASE.over({"home/hadoop/job.py": Made(mode=0o600)}),
        BASE.over({"opt/app": folder(0o700), "opt/app/job.py": ""}),
        BASE.over({f"{SITE}/numpy/__init__.py": Made(mode=0o640)}),
    ),
    "IMG013": (
        BASE.env(f"AWS_SECRET_ACCESS_KEY={'aB3/' * 10}"),
        BASE.env("DB_PASSWORD=correct-horse"),
        BASE.env("PIP_INDEX_URL=https://me:correct-horse@index.example/simple"),
        replace(BASE, history=[{"created_by": "RUN |1 TOKEN=correct-horse /bin/sh -c true"}]),
        replace(BASE, history=[{"created_by": "RUN pip install -i https://a:bcdefgh@x.example/"}]),
        BASE.over({"root/.netrc": "machine x login me password correct-horse\n"}),
        BASE.over({"tmp/id_rsa.pem": KEY}, {"tmp/.wh.id_rsa.pem": ""}),
    ),
    "IMG014": (
        BASE.over({"usr/lib/spark/python/lib/.wh.pyspark.zip": ""}),
        BASE.over({"usr/lib/spark/python/lib/.wh.py4j-0.10.9.7-src.zip": ""}),
        BASE.env("PYSPARK_PYTHON=/usr/bin/python3.14").over({"usr/bin/python3.14": program()}),
        BASE.env("PYSPARK_PYTHON=/opt/py/bin/python").over(venv("opt/py", "3.14")),
    ),
    "IMG015": (
        BASE.over(distribution(SITE, "pandas", "2.2.3", "Requires-Dist: numpy>=1.26")),
        BASE.over(
            distribution(SITE, "pandas", "2.2.3", "Requires-Dist: numpy>=1.26"),
            distribution(SITE, "numpy", "1.25.0"),
        ),
        BASE.over(distribution(SITE, "old", "1.0", "Requires-Python: <3.11")),
        BASE.over(distribution(SITE, "delta_spark", "2.0", "Requires-Dist: pyspark<3.3")),
        BASE.over(
            {f"{SITE}/app.pth": "/opt/app\n", "opt/app": folder()},
            distribution("opt/app", "mine", "1.0", "Requires-Dist: boto3"),
        ),
        BASE.env("PYSPARK_PYTHON=/opt/py/bin/python").over(
            venv("opt/py", "3.11"),
            # What the system has, a virtual environment does not see.
            distribution(SITE, "numpy", "2.0.2"),
            distribution(
                "opt/py/lib/python3.11/site-packages", "pandas", "2.2.3", "Requires-Dist: numpy"
            ),
        ),
    ),
    "IMG016": (
        BASE.over({"usr/lib/jvm/java-17/release": 'JAVA_VERSION="21.0.5"\n'}),
        BASE.over({"usr/lib/jvm/java-17/release": 'JAVA_VERSION="1.8.0_432"\n'}),
        BASE.over({"usr/lib/jvm/java-17/.wh.release": ""}),
    ),
    "IMG017": (
        BASE.over({f"{SPARK_JARS}/spark-sql_2.12-3.5.5.jar": ""}),
        BASE.over({f"{SPARK_JARS}/guava-14.0.1.jar": "", f"{SPARK_JARS}/guava-31.1-jre.jar": ""}),
        BASE.over({"usr/lib/hive/lib/a-1.jar": ""}, {"usr/lib/hive/lib/a-2.jar": ""}),
    ),
    "IMG018": (
        BASE.env("PYSPARK_DRIVER_PYTHON== /usr/bin/python3.11"),
        BASE.env("my.variable=1"),
        BASE.env("=x"),
        BASE.env("A NAME=x"),
        BASE.env("A=x\ny"),
        BASE.env("A=x "),
        BASE.env("A='x'"),
        BASE.over(Env=[*CONFIG["Env"], "SPARK_HOME=/opt/spark"]),
    ),
    "IMG019": (
        BASE.over({"usr/bin/.wh.bash": ""}),
        BASE.over({"usr/bin/.wh.env": ""}),
        BASE.env("PATH=/opt/bin"),
        BASE.over({"usr/bin/bash": program(mode=0o700)}),
        BASE.over({"etc/passwd": "hadoop:x:999:998::/home/hadoop:/sbin/nologin\n"}),
        BASE.over({"etc/passwd": "hadoop:x:999:998::/home/hadoop:/bin/zsh\n"}),
    ),
}
ONLY_WARN = {"IMG004"}
"""Checks that never fail an image."""


@pytest.mark.parametrize("code", PLANTED)
def test_every_planted_fault_is_found(code: str, tmp_path: Path) -> None:
    severities = set()
    for number, planted in enumerate(PLANTED[code]):
        place = tmp_path / str(number)
        if isinstance(planted, Image):
            facts = observed(place, planted, None if planted.architecture == "arm64" else BASE)
        else:
            facts = planted(observed(place, BASE, BASE))
        found = [f for f in judged(facts) if f.check == code]
        assert found, f"{code}: fault {number} was not found"
        assert all(f.what and f.why and f.fix and f.where == "image" for f in found)
        severities |= {f.severity for f in found}
    assert ("error" in severities) != (code in ONLY_WARN)


def test_a_shell_that_is_missing_is_told_once(tmp_path: Path) -> None:
    found = judged(observed(tmp_path, BASE.over({"usr/bin/.wh.bash": ""}), BASE))
    assert [f.what for f in found if f.check == "IMG019"] == [
        "there is no `bash`",
        "there is no `sh`",
    ]


def test_every_check_has_a_planted_fault_and_a_rule() -> None:
    assert set(PLANTED) == set(IMAGE_CHECKS)
    assert all(RULES[code].endswith(".") for code in IMAGE_CHECKS)


@pytest.mark.parametrize("base", [None, BASE])
def test_the_base_itself_passes_without_a_word(tmp_path: Path, base: Image | None) -> None:
    assert [(f.check, f.what) for f in judged(observed(tmp_path, BASE, base))] == []


def test_without_a_base_what_needs_one_is_not_said_to_be_checked(tmp_path: Path) -> None:
    facts = observed(tmp_path, BASE)
    report = check_image(Subject(facts=facts, target=target(), kind="spark"))
    assert set(IMAGE_CHECKS) - set(report.checked) == {"IMG008"}


def test_a_line_that_leads_to_emrs_own_pyspark_is_no_second_one(tmp_path: Path) -> None:
    emrs = BASE.over({"usr/lib/spark/python/pyspark/__init__.py": ""})
    led = emrs.over({f"{SITE}/emr.pth": "/usr/lib/spark/python\n"})
    assert [f.what for f in judged(observed(tmp_path, led, emrs)) if f.check == "IMG011"] == []


def test_what_may_be_added_passes(tmp_path: Path) -> None:
    """Values with `=`, jars of one's own, files that are for root where no job looks."""
    image = BASE.env("JAVA_TOOL_OPTIONS=-Da=b -Dc=d", "TOKEN_FILE=/run/secrets/token").over(
        {
            f"{SPARK_JARS}/mine-1.0.jar": "",
            "root/.bashrc": Made(mode=0o600),
            "var/lib/dnf/state": Made(mode=0o600),
            f"{SITE}/numpy-2.0.2.dist-info/METADATA": "",
            "home/hadoop/job.py": Made(mode=0o600, uid=999),
        }
    )
    assert [(f.check, f.what) for f in judged(observed(tmp_path, image, BASE))] == []


def test_the_same_files_in_other_layers_are_no_change(tmp_path: Path) -> None:
    again = BASE.over(SPARK)
    facts = observed(tmp_path, again, BASE)
    assert facts.base is not None
    assert facts.base.is_below
    assert facts.base.changes == ()


def test_what_is_installed_and_fits_passes(tmp_path: Path) -> None:
    """By markers, extras and the release's own Spark; and in a virtual environment of the image."""
    site = "opt/py/lib/python3.11/site-packages"
    image = BASE.env("PYSPARK_PYTHON=/opt/py/bin/python").over(
        venv("opt/py", "3.11"),
        distribution(
            site,
            "pandas",
            "2.2.3",
            "Requires-Python: >=3.9",
            "Requires-Dist: Num.Py>=1.26",
            'Requires-Dist: tomli; python_version < "3.11"',
            'Requires-Dist: pyarrow; extra == "arrow"',
            "Requires-Dist: pyspark<4",
            "Requires-Dist: py4j==1",
            "Requires-Dist: not [a] requirement",
        ),
        distribution(site, "num_py", "2.0.2"),
    )
    assert [(f.check, f.what) for f in judged(observed(tmp_path, image, BASE))] == []


def test_jars_that_are_none_of_each_others_versions_pass(tmp_path: Path) -> None:
    names = (
        "log4j-1.2-api-2.20.0.jar",
        "log4j-1.2.17.jar",
        "netty-transport-native-epoll-4.1.96.Final-linux-aarch_64.jar",
        "netty-transport-native-epoll-4.1.96.Final-linux-x86_64.jar",
        "netty-transport-native-epoll-4.1.96.Final.jar",
        "spark-tags_2.12-3.5.6-tests.jar",
        "kryo-shaded-4.0.2.jar",
        "hive-storage-api-2.8.1.jar",
        "orc-core-1.9.2-shaded-protobuf.jar",
        "mine.jar",
    )
    image = BASE.over({f"{SPARK_JARS}/{name}": "" for name in names})
    assert [(f.check, f.what) for f in judged(observed(tmp_path, image, BASE))] == []


@pytest.mark.parametrize(
    ("name", "artifact", "version"),
    [
        ("spark-core_2.12-3.5.6-amzn-1.jar", "spark-core_2.12", "3.5.6-amzn-1"),
        ("guava-31.1-jre.jar", "guava", "31.1-jre"),
        ("netty-all-4.1.96.Final.jar", "netty-all", "4.1.96.Final"),
        ("x-1.0-SNAPSHOT.jar", "x", "1.0-SNAPSHOT"),
        ("hive-shims-0.23-2.3.9.jar", "hive-shims-0.23", "2.3.9"),
        (
            "iceberg-spark-runtime-3.5_2.12-1.6.1-amzn-2.jar",
            "iceberg-spark-runtime-3.5_2.12",
            "1.6.1-amzn-2",
        ),
        ("parquet-format-2.9.0-b2.jar", "parquet-format", "2.9.0-b2"),
        ("orc-core-1.9.2-shaded-protobuf.jar", "orc-core shaded-protobuf", "1.9.2"),
    ],
)
def test_names_of_jars_are_read(name: str, artifact: str, version: str) -> None:
    assert jar_of(name) == (artifact, version)


def test_of_an_image_that_is_not_read_its_documents_are_judged(tmp_path: Path) -> None:
    image = image_in(files_in(write_layout(tmp_path, layout(BASE.over(WorkingDir="/x")))), "")
    facts = replace(observe_documents(image, name="image"), size=HUGE)
    report = check_image(Subject(facts=facts, target=target(), kind="spark"))
    assert report.checked == OF_DOCUMENTS
    assert {f.check for f in report.findings} == {"IMG003", "IMG006"}


LISTED = sorted(label for label in known_releases() if required_files(label, "spark"))


def listed_image(label: str, kind: ImageType) -> Image:
    """An image with all that the list of a release names, and nothing else."""
    variables = {
        "SPARK_HOME": "/usr/lib/spark",
        "JAVA_HOME": "/etc/alternatives/jre",
        "HADOOP_HOME": "/usr/lib/hadoop",
        "HADOOP_LIBEXEC_DIR": "/usr/lib/hadoop/libexec",
        "HADOOP_USER_HOME": "/home/hadoop",
        "HADOOP_YARN_HOME": "/usr/lib/hadoop-yarn",
        "HIVE_HOME": "/usr/lib/hive",
        "TEZ_HOME": "/usr/lib/tez",
        "YARN_HOME": "/usr/lib/hadoop-yarn",
    }
    files: dict[str, Made | str] = {}
    for one in required_files(label, kind) or ():
        place = one.folder
        for name, value in variables.items():
            place = place.replace(f"${name}", value)
        jar = "-1.0.jar" if place.endswith(("/jars", "/lib")) else ""
        files |= {f"{place[1:]}/{name}{jar}": program() for name in one.names}
    full = known_releases()[label].facts["spark_full"]
    if kind == "spark":
        files.pop("usr/lib/spark/jars/spark-core-1.0.jar")
        files[f"usr/lib/spark/jars/spark-core_2.12-{full}.jar"] = ""
    files |= {name: made for name, made in SYSTEM.items() if "jvm" not in name}
    files.pop("etc/alternatives/jre")
    files |= {f"usr/lib/spark/python/lib/{name}": "" for name in ("pyspark.zip", "py4j-0-src.zip")}
    files |= {"etc/alternatives/release": 'JAVA_VERSION="1.8.0"'}
    files |= {"usr/bin/python3.7": program(), "usr/bin/python3": symlink("python3.7")}
    config = {**CONFIG, "Env": [f"{name}={value}" for name, value in variables.items()]}
    if kind == "hive":
        config["WorkingDir"] = ""
    return Image(layers=(files,), config=config)


@pytest.mark.parametrize("kind", ["spark", "hive"])
@pytest.mark.parametrize("label", LISTED)
def test_images_of_releases_with_lists_pass(label: str, kind: ImageType, tmp_path: Path) -> None:
    facts = observed(tmp_path, listed_image(label, kind))
    assert [(f.check, f.what) for f in judged(facts, label, kind)] == []


def test_the_releases_with_lists_are_those_of_awss_own_validator() -> None:
    assert LISTED == ["emr-6.10.0", "emr-6.11.0", "emr-6.12.0", "emr-6.9.0"]


@pytest.mark.parametrize("kind", ["spark", "hive"])
@pytest.mark.parametrize("label", LISTED)
def test_each_file_of_a_list_stands_for_itself_alone(label: str, kind: ImageType) -> None:
    """No longer neighbour stands for it, as one does where names are compared as prefixes."""
    for files in required_files(label, kind) or ():
        for name in files.names:
            lacking = files.lacking((f"{name}-1.0.jar",))
            assert set(files.names) - set(lacking) == {name}


@pytest.mark.parametrize(
    "file",
    [
        "spark-core_2.12-3.3.0-amzn-1.jar",
        "spark-core.jar",
        "spark-core",
        "spark-core-3.5.6.jar",
    ],
)
def test_versions_and_endings_do_not_matter(file: str) -> None:
    (files,) = [
        f for f in required_files("emr-6.9.0", "spark") or () if f.folder == "$SPARK_HOME/jars"
    ]
    assert "spark-core" not in files.lacking((file,))
