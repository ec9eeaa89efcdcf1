"""Where a run's logs go, as the User Guide has it in 'Storing logs'."""

import gzip
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.rig.emrserverless.plans import Line

REFRESH_S: Final = 15
"""Log files in S3 are written anew that often (UG 'Rotating logs')."""


def write_s3(s3: Any, uri: str, folder: str, lines: Sequence[Line], rotation: int) -> None:
    """`folder` is `applications/…/jobs/…`, with its attempt where the job may have several."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    texts: dict[tuple[str, str], str] = defaultdict(str)
    for line in lines:
        texts[line.worker, line.stream] += line.text
    for (worker, stream), text in texts.items():
        place = "/".join(filter(None, (prefix.strip("/"), folder, worker)))
        data = text.encode()
        full = max(0, len(data) - 1) // rotation
        for index in range(full):
            part = data[index * rotation : (index + 1) * rotation]
            _put(s3, bucket, f"{place}/archived/{stream}_{index}.gz", part)
        _put(s3, bucket, f"{place}/{stream}.gz", data[full * rotation :])


def _put(s3: Any, bucket: str, key: str, data: bytes) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=gzip.compress(data, mtime=0))


def write_cloudwatch(
    client: Any,
    configuration: Mapping[str, Any],
    folder: str,
    lines: Sequence[Line],
) -> None:
    """`lines` are those that it has not had; they get today's times, since it takes no others."""
    group = configuration.get("logGroupName", "/aws/emr-serverless")
    types = configuration.get("logTypes", {"SPARK_DRIVER": ["STDOUT", "STDERR"]})
    for line in lines:
        worker = line.worker.partition("/")[0]
        if line.stream.upper() not in [t.upper() for t in types.get(worker, ())]:
            continue
        prefix = configuration.get("logStreamNamePrefix", "")
        stream = "/".join(filter(None, (prefix, folder, line.worker, line.stream)))
        stream = stream if prefix else f"/{stream}"
        for create, names in (
            (client.create_log_group, {"logGroupName": group}),
            (client.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
        ):
            try:
                create(**names)
            except client.exceptions.ResourceAlreadyExistsException:
                continue
        events = [
            {"timestamp": int(time.time() * 1000), "message": text}
            for text in line.text.splitlines()
        ]
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
