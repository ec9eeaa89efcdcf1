"""The job of the clean room: functions of the archive's Python, run by Spark's own workers.

Standard library and PySpark only, in words that Python 3.7 knows. The last line of standard output
is the answer, as JSON.
"""

import json
import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import udf

ANSWER = "packager-job: "


def square(number):
    import sys

    return json.dumps([sys.executable, list(sys.version_info[:2]), number * number])


def pandas_works(spark):
    """None if the environment has no pandas or no pyarrow; else empty, or why it does not."""
    try:
        import pandas as pd  # noqa: F401  # whether it is there
        import pyarrow as pa  # noqa: F401  # whether it is there
    except ImportError:
        return None
    try:
        from pyspark.sql.functions import pandas_udf

        double = pandas_udf(lambda numbers: numbers * 2, "long")
        rows = spark.range(3, numPartitions=1).select(double("id")).collect()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is told
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        known = [line for line in lines if "Error: " in line and "org.apache" not in line]
        return "%s: %s" % (type(error).__name__, (known or lines or [""])[-1][:500])
    found = [row[0] for row in rows]
    return "" if found == [0, 2, 4] else "it gave %s" % found


def main():
    spark = SparkSession.builder.appName("packager clean room").getOrCreate()
    rows = spark.range(4, numPartitions=2).select(udf(square, "string")("id")).collect()
    told = [json.loads(row[0]) for row in rows]
    answer = {
        "spark": spark.version,
        "driver": sys.executable,
        "workers": sorted({executable for executable, _, _ in told}),
        "squares": [value for _, _, value in told],
        "pandas": pandas_works(spark),
    }
    spark.stop()
    print("\n" + ANSWER + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
