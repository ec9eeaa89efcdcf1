"""The entry point: `spark-submit main.py [--input PATH] [--output PATH]`.

It only reads the arguments. Everything else is in the package `sample_app`, which travels in the
archive and is therefore importable on the executors too; this file is not.
"""

import argparse
import json

from pyspark.sql import SparkSession

from sample_app.job import run


def main() -> None:
    parser = argparse.ArgumentParser(description="Classify penguins by bill and flipper.")
    parser.add_argument("--input", help="a CSV of penguins [default: the 344 in the package]")
    parser.add_argument("--output", help="where to write JSON lines [default: nowhere]")
    args = parser.parse_args()

    # No .master() and no settings: they come from EMR, from spark-submit and from pyproject.toml.
    with SparkSession.builder.appName("sample-app").getOrCreate() as spark:
        summary = run(spark, args.input, args.output)

    print(json.dumps(summary, sort_keys=True))


if __name__ == "__main__":
    main()
