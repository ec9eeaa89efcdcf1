"""A Spark session for the tests: Spark runs in this process, its Python workers beside it."""

import os
import shutil
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def spark() -> Iterator[object]:
    sql = pytest.importorskip("pyspark.sql", reason="PySpark is not installed")
    if not (shutil.which("java") or os.getenv("JAVA_HOME")):
        pytest.skip("Java is not installed")
    with pytest.MonkeyPatch.context() as patch:
        # Without it the workers are whichever `python3` comes first in PATH.
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        builder = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        with builder.getOrCreate() as session:
            yield session
