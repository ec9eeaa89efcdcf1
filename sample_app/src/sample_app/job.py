"""The job: reads penguins with Spark, classifies them on the executors, and sums up."""

import json
import platform
import socket
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # the name that every PySpark program uses

import sample_app
from sample_app.model import HELD_OUT_YEAR, MEASUREMENTS, classify, penguins_csv

SCHEMA: Final = (
    "species string, island string, bill_length_mm double, bill_depth_mm double, "
    "flipper_length_mm double, body_mass_g double, sex string, year int"
)
PARTITIONS: Final = 8
"""More than a small cluster has cores, so that every executor gets some."""


def run(spark: SparkSession, source: str | None, target: str | None) -> dict[str, Any]:
    """Classify the penguins at `source`, write them to `target`, and return the summary."""
    classified = classify_penguins(read_penguins(spark, source)).cache()
    if target is not None:
        columns = [name for name in classified.columns if name != "worker"]
        # Sorted by everything, so that the same penguins are written in the same order.
        classified.select(columns).sort(columns).write.json(target, mode="overwrite")
    return summarize(classified)


def read_penguins(spark: SparkSession, source: str | None) -> DataFrame:
    # Package data is a file of the driver: its lines are sent, for executors may not have its path.
    csv = source or spark.sparkContext.parallelize(penguins_csv().splitlines())
    # A file with other columns or values fails, instead of becoming nulls.
    return spark.read.csv(
        csv, SCHEMA, header=True, enforceSchema=False, nullValue="NA", mode="FAILFAST"
    )


def worker() -> dict[str, str]:
    """Say which Python this is, so that a run shows whether the executors use the archive."""
    packages = {name: version(name) for name in ("numpy", "pandas", "pyarrow", "scikit-learn")}
    return packages | {
        "app": str(sample_app.__path__[0]),
        "directory": str(Path.cwd()),
        "executable": sys.executable,
        "host": socket.gethostname(),
        "python": platform.python_version(),
    }


def classify_batches(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Classify on an executor; the model is trained when the first batch arrives."""
    here = json.dumps(worker(), sort_keys=True)
    for batch in batches:
        yield pd.DataFrame({"prediction": classify(batch), "worker": here})


def classify_penguins(penguins: DataFrame) -> DataFrame:
    on_executors = F.pandas_udf(classify_batches, "prediction string, worker string")
    return (
        penguins.repartition(PARTITIONS)
        .withColumn("classified", on_executors(F.struct(*MEASUREMENTS)))
        .select(*penguins.columns, "classified.*")
    )


def summarize(classified: DataFrame) -> dict[str, Any]:
    """Count in Spark; only the counts reach the driver, however many penguins there are."""
    result = [name for name in classified.columns if name != "worker"]
    held_out = F.col("prediction").isNotNull() & (F.col("year") == HELD_OUT_YEAR)
    row = classified.agg(
        F.count("*").alias("rows"),
        F.count_if(F.col("prediction").isNull()).alias("not_measured"),
        F.count_if(held_out).alias("held_out"),
        F.count_if(held_out & (F.col("prediction") == F.col("species"))).alias("held_out_correct"),
        # A sum does not depend on the order in which the partitions come.
        F.sum(F.crc32(F.to_json(F.struct(*result)))).alias("checksum"),
        F.collect_set("worker").alias("executors"),
    ).first()
    if row is None or row["rows"] == 0:
        raise ValueError("there are no penguins in the input")
    predictions = classified.dropna(subset="prediction").groupBy("prediction").count().collect()
    executors = row["executors"]
    return {
        "result": {key: row[key] for key in row.asDict() if key != "executors"}
        | {"predictions": {each["prediction"]: each["count"] for each in predictions}},
        "driver": worker(),
        "executors": [json.loads(each) for each in sorted(executors)],
    }
