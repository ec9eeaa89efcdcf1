"""Logs of job runs: gzipped files in S3, and streams of CloudWatch."""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from packager.adapters.aws.emr import failures_told_apart
from packager.adapters.aws.session import Session
from packager.jobs.logs import FileTail, LogSource, Places, StreamTail
from packager.jobs.ports import GoneError, LogFile

_CHUNK: Final = 1 << 20
_GZIP: Final = 16 + zlib.MAX_WBITS


def log_source(session: Session, places: Places) -> LogSource | None:
    """S3 before CloudWatch, since it has the executors' logs; None where AWS alone has any."""
    if places.bucket:
        return FileTail(S3LogFiles(session, places.bucket), places.prefix)
    if places.group:
        return StreamTail(CloudWatchStreams(session, places.group), places.stream_prefix)
    return None


class S3LogFiles:
    """Implements `packager.jobs.ports.LogFiles`."""

    def __init__(self, session: Session, bucket: str) -> None:
        self._client = session.client("s3")
        self._bucket = bucket

    def under(self, prefix: str) -> Sequence[LogFile]:
        what = f"the logs in s3://{self._bucket}/{prefix} can not be listed"
        pages = self._client.get_paginator("list_objects_v2")
        with failures_told_apart(what, f"s3:ListBucket on arn:aws:s3:::{self._bucket}"):
            return [
                LogFile(
                    key=entry["Key"],
                    version=f"{entry['ETag']} {entry['LastModified']}",
                    modified=entry["LastModified"].timestamp(),
                )
                for page in pages.paginate(Bucket=self._bucket, Prefix=prefix)
                for entry in page.get("Contents", ())
            ]

    def read(self, key: str) -> Iterator[bytes]:
        where = f"s3://{self._bucket}/{key}"
        with failures_told_apart(
            f"{where} can not be read", f"s3:GetObject on arn:aws:s3:::{self._bucket}/{key}"
        ):
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
            yield from _unpacked(body)


def _unpacked(body: Any) -> Iterator[bytes]:
    """As far as it goes: a file that is damaged at its end has a beginning."""
    unpack = zlib.decompressobj(_GZIP)
    for data in body.iter_chunks(_CHUNK):
        rest = data
        while rest:
            try:
                yield unpack.decompress(rest)
            except zlib.error:
                return
            rest = unpack.unused_data
            if unpack.eof:  # the next member, if there is one
                unpack = zlib.decompressobj(_GZIP)


class CloudWatchStreams:
    """Implements `packager.jobs.ports.LogStreams`."""

    def __init__(self, session: Session, group: str) -> None:
        self._client = session.client("logs")
        self._group = group

    def under(self, prefix: str) -> Sequence[str]:
        what = f"the streams of the log group {self._group} can not be listed"
        pages = self._client.get_paginator("describe_log_streams")
        try:
            with failures_told_apart(what, f"logs:DescribeLogStreams on {self._group}"):
                return [
                    stream["logStreamName"]
                    for page in pages.paginate(logGroupName=self._group, logStreamNamePrefix=prefix)
                    for stream in page["logStreams"]
                ]
        except GoneError:  # the service makes it with the first line
            return []

    def read(self, stream: str, token: str | None) -> tuple[Sequence[str], str]:
        what = f"the log stream {stream} can not be read"
        more = {} if token is None else {"nextToken": token}
        with failures_told_apart(what, f"logs:GetLogEvents on {self._group}"):
            answer = self._client.get_log_events(
                logGroupName=self._group, logStreamName=stream, startFromHead=True, **more
            )
        return [event["message"] for event in answer["events"]], answer["nextForwardToken"]
