"""What Spark's own parser reads from our texts equals what was meant."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from packager.emitters.forms import EMITTERS
from packager.releases import limits
from packager.sparkconf import Job, SparkConf, conf_for_archives, local_uri
from tests.archives import tar_gz

pytestmark = pytest.mark.spark

SHOW = """
import json
from pyspark.sql import SparkSession
from pyspark import SparkFiles
spark = SparkSession.builder.getOrCreate()
print("SHOWN " + json.dumps(dict(spark.sparkContext.getConf().getAll())))
"""

PLAIN = {
    "spark.app.name": "größe=1,x#y:z",
    "spark.some.options": "-Da=b",
    "spark.hadoop.fs.s3a.endpoint": "http://127.0.0.1:5000/?x=%20&y=1",
    "spark.sql.catalog.dev.warehouse": "s3://bucket/päth/$HOME/*",
}
ODD = PLAIN | {
    "spark.app.name": 'it\'s "quoted" \\ and\tlong',
    "spark.more.options": "-Dx=1 -Dy=${z} # no comment ! = :",
    "spark.sql.warehouse.comment": "zwei\nZeilen",
}


def job(entries: dict[str, str], archive: Path) -> Job:
    conf = conf_for_archives([("environment", local_uri(str(archive)))], entries)
    return Job(
        conf=SparkConf(entries=conf.entries),
        entry_point=None,
        arguments=(),
        name="x",
        release="emr-7.13.0",
        architecture="X86_64",
        limits=limits(),
    )


def shown(arguments: list[str], tmp_path: Path) -> dict[str, str]:
    script = tmp_path / "show.py"
    script.write_text(SHOW)
    submit = Path(sys.executable).with_name("spark-submit")
    done = subprocess.run(
        [submit, "--master", "local[1]", "--conf", "spark.ui.enabled=false", *arguments, script],
        env={"PATH": f"{submit.parent}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-20000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("SHOWN "))
    found: dict[str, str] = json.loads(line.removeprefix("SHOWN "))
    return found


def test_spark_reads_what_was_meant(tmp_path: Path) -> None:
    folder = tmp_path / "a b ü#1 %41"
    folder.mkdir()
    archive = folder / "env.tar.gz"
    archive.write_bytes(tar_gz([]))

    submitted = job(PLAIN, archive)
    got = shown(shlex.split(EMITTERS["spark-submit"](submitted)), tmp_path)
    assert_same(got, submitted)

    defaults = tmp_path / "spark-defaults.conf"
    meant = job(ODD, archive)
    defaults.write_text(EMITTERS["spark-defaults"](meant), encoding="utf-8")
    got = shown(["--properties-file", str(defaults)], tmp_path)
    assert_same(got, meant)


def assert_same(got: dict[str, str], meant: Job) -> None:
    expected = dict(meant.conf.entries)
    # Spark writes letters of other alphabets without escapes; it is the same URI (RFC 3987).
    assert unquote(got["spark.archives"]) == unquote(expected.pop("spark.archives"))
    assert {key: got.get(key) for key in expected} == expected
