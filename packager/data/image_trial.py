"""What is run in an image to try it out: Pi, or functions of Python in Spark's own workers.

Standard library and PySpark only, in words that Python 3.7 knows. The last line of standard output
is the answer: `Pi is roughly N`, or JSON.
"""

import importlib.util
import json
import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import udf

NEEDED = ("pandas", "pyarrow")
ANSWER = "packager-job: "
DARTS = "avg(CASE WHEN pow(2 * rand(1) - 1, 2) + pow(2 * rand(2) - 1, 2) <= 1 THEN 4.0 ELSE 0 END)"


def square(number):
    import sys

    return json.dumps([os.path.realpath(sys.executable), sys.prefix, number * number])


def without_pandas():
    """Which of the two packages that functions on pandas data need is not there."""
    found = [importlib.util.find_spec(name) for name in NEEDED]
    return next((name for name, spec in zip(NEEDED, found) if spec is None), "")


def pandas_problem(spark):
    """Why a function on pandas data does not work, empty if it does; and what it lacks."""
    try:
        lacking = without_pandas()
        if lacking:
            return None, lacking
        from pyspark.sql.functions import pandas_udf

        double = pandas_udf(lambda numbers: numbers * 2, "long")
        rows = spark.range(3, numPartitions=1).select(double("id")).collect()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is told
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        known = [line for line in lines if "Error: " in line and "org.apache" not in line]
        return "%s: %s" % (type(error).__name__, (known or lines or [""])[-1][:500]), ""
    found = [row[0] for row in rows]
    return ("" if found == [0, 2, 4] else "it gave %s" % found), ""


def pi(spark):
    print("\nPi is roughly %s" % spark.range(1000000).selectExpr(DARTS).first()[0], flush=True)


def functions(spark):
    rows = spark.range(4, numPartitions=2).select(udf(square, "string")("id")).collect()
    told = [json.loads(row[0]) for row in rows]
    problem, lacking = pandas_problem(spark)
    answer = {
        "spark": spark.version,
        "python": "%d.%d.%d" % sys.version_info[:3],
        "driver": [os.path.realpath(sys.executable), sys.prefix],
        "workers": sorted({(executable, prefix) for executable, prefix, _ in told}),
        "squares": [value for _, _, value in told],
        "pandas": problem,
        "lacking": lacking,
    }
    print("\n" + ANSWER + json.dumps(answer), flush=True)


def main():
    spark = SparkSession.builder.appName("packager").getOrCreate()
    {"pi": pi, "functions": functions}[sys.argv[1]](spark)
    spark.stop()


if __name__ == "__main__":
    main()
