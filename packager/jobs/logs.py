"""Where the logs of a run are, and what is new in them since they were read last. Pure.

Places after UG 'Storing logs' and 'Rotating logs'; executors' folders (`SPARK_EXECUTOR/1`) as
others find them, since the guide does not print one.
"""

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from packager.jobs.ports import GoneError, LogFile, LogFiles, LogStreams
from packager.jobs.states import Run

DEFAULT_GROUP: Final = "/aws/emr-serverless"
_FILE: Final = re.compile(
    r"(SPARK_DRIVER|SPARK_EXECUTOR/[^/]+)/(archived/)?(stdout|stderr)(?:_(\d+))?\.gz"
)
_STREAM: Final = re.compile(
    r"(SPARK_DRIVER|SPARK_EXECUTOR(?:/[^/]+)?)(?:/(stdout|stderr))?$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a log, without its end."""

    worker: str
    """`driver`, or `executor 3`."""
    stream: str
    """`stdout` or `stderr`."""
    attempt: int
    text: str


Wanted = Callable[[str, str], bool]
"""Whether lines of a worker's stream are asked for."""

CHOICES: Final[Mapping[str, Wanted]] = {
    "stdout": lambda worker, stream: (worker, stream) == ("driver", "stdout"),
    "stderr": lambda worker, stream: (worker, stream) == ("driver", "stderr"),
    "executors": lambda worker, _stream: worker != "driver",
    "all": lambda _worker, _stream: True,
    "none": lambda _worker, _stream: False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where logs go."""

    bucket: str = ""
    prefix: str = ""
    """Of `bucket`; ends with a slash if it is not empty."""
    group: str = ""
    """Of CloudWatch; empty where nothing goes there."""
    stream_prefix: str = ""
    managed: bool = True
    """Whether AWS keeps them, for the dashboard alone."""

    @property
    def are_readable(self) -> bool:
        return bool(self.bucket or self.group)

    def folder(self, run: Run) -> str:
        """Of a run's logs in `bucket`, for people; empty without one."""
        if not self.bucket:
            return ""
        return f"s3://{self.bucket}/{self.prefix}{path(run, None)}"


def path(run: Run, attempt: int | None) -> str:
    folder = f"applications/{run.application}/jobs/{run.id}/"
    return folder if attempt is None or not run.retried else f"{folder}attempts/{attempt}/"


def places(run: Run, of_application: Mapping[str, Any]) -> Places:
    """`of_application` is its `monitoringConfiguration`: it holds where the run has none."""
    monitoring = {**of_application, **run.monitoring}
    uri = monitoring.get("s3MonitoringConfiguration", {}).get("logUri", "")
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    cloudwatch = monitoring.get("cloudWatchLoggingConfiguration", {})
    managed = monitoring.get("managedPersistenceMonitoringConfiguration", {})
    return Places(
        bucket=bucket,
        prefix=f"{prefix}/" if prefix else "",
        group=cloudwatch.get("logGroupName", DEFAULT_GROUP) if cloudwatch.get("enabled") else "",
        stream_prefix=cloudwatch.get("logStreamNamePrefix", ""),
        managed=managed.get("enabled", True),
    )


class LogSource(Protocol):
    """Logs of one run, read again and again."""

    def read(self, run: Run, attempt: int, wanted: Wanted) -> Iterator[Line]:
        """Lines that are complete and were not read before."""

    def rest(self) -> Iterator[Line]:
        """What is left when nothing more will come: a last line without an end."""

    def is_complete(self, run: Run) -> bool:
        """Whether the logs of a run that has ended are surely all there."""


@dataclass(slots=True, kw_only=True)
class _Text:
    """A log as it was read so far."""

    worker: str
    stream: str
    attempt: int
    seen: int = 0
    """Bytes."""
    begun: bytes = b""
    """Of a line that is not complete."""
    versions: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)
    """Of archived parts, by key: they do not change any more."""

    def lines(self, data: bytes) -> Iterator[Line]:
        *complete, self.begun = (self.begun + data).split(b"\n")
        yield from map(self.line, complete)

    def line(self, data: bytes) -> Line:
        text = data.decode("utf-8", errors="replace").rstrip("\r")
        return Line(worker=self.worker, stream=self.stream, attempt=self.attempt, text=text)


def _rest(texts: Iterable[_Text]) -> Iterator[Line]:
    for text in texts:
        if text.begun:
            begun, text.begun = text.begun, b""
            yield text.line(begun)


class FileTail:
    """Logs in S3: files that are written anew every 15 seconds, and parts that were rotated away.

    A log is its archived parts in their order, then the file that still changes.
    """

    def __init__(self, files: LogFiles, prefix: str) -> None:
        self._files = files
        self._prefix = prefix
        self._texts: dict[tuple[int, str, str], _Text] = {}
        self._newest = 0.0

    def read(self, run: Run, attempt: int, wanted: Wanted) -> Iterator[Line]:
        prefix = self._prefix + path(run, attempt)
        found: dict[tuple[str, str], list[tuple[float, LogFile]]] = {}
        for file in self._files.under(prefix):
            match = _FILE.fullmatch(file.key.removeprefix(prefix))
            if match is None or not wanted(worker := _worker(match[1]), match[3]):
                continue
            # What is archived goes first, by its number; what is not has none.
            order = float(match[4] or 0) if match[2] else float("inf")
            found.setdefault((worker, match[3]), []).append((order, file))
            if worker == "driver":
                self._newest = max(self._newest, file.modified)
        for (worker, stream), parts in found.items():
            parts.sort(key=lambda part: part[0])
            text = self._texts.setdefault(
                (attempt, worker, stream), _Text(worker=worker, stream=stream, attempt=attempt)
            )
            versions = tuple(file.version for _, file in parts)
            if versions != text.versions and (yield from self._more(text, parts)):
                text.versions = versions

    def _more(self, text: _Text, parts: list[tuple[float, LogFile]]) -> Generator[Line, None, bool]:
        """Return whether everything that was listed was still there."""
        position = 0
        for order, file in parts:
            size = text.sizes.get(file.key)
            if size is not None and position + size <= text.seen:
                position += size
                continue
            begin = position
            try:
                for data in self._files.read(file.key):
                    new = data[max(0, text.seen - position) :]
                    position += len(data)
                    if new:
                        text.seen = position
                        yield from text.lines(new)
            except GoneError:  # rotated away since it was listed
                return False
            if order != float("inf"):
                text.sizes[file.key] = position - begin
        return True

    def rest(self) -> Iterator[Line]:
        yield from _rest(self._texts.values())

    def is_complete(self, run: Run) -> bool:
        # What was written after the driver's end has all of it. Both times are AWS's.
        return run.ended is not None and self._newest >= run.ended.timestamp()


class StreamTail:
    """Logs in CloudWatch, which come as they are written."""

    def __init__(self, streams: LogStreams, prefix: str) -> None:
        self._streams = streams
        self._prefix = prefix
        self._tokens: dict[str, str] = {}

    def read(self, run: Run, attempt: int, wanted: Wanted) -> Iterator[Line]:
        # How a prefix is joined with the rest is not documented; the run's folder is in each name.
        folder = path(run, attempt)
        for name in self._streams.under(self._prefix or f"/{folder}"):
            match = _STREAM.search(name)
            if folder not in name or match is None:
                continue
            worker, stream = _worker(match[1]), (match[2] or "stdout").lower()
            if not wanted(worker, stream):
                continue
            while True:
                before = self._tokens.get(name)
                messages, token = self._streams.read(name, before)
                self._tokens[name] = token
                for message in messages:
                    for text in message.splitlines() or [""]:
                        yield Line(worker=worker, stream=stream, attempt=attempt, text=text)
                if not messages or token == before:
                    break

    def rest(self) -> Iterator[Line]:
        yield from ()

    def is_complete(self, run: Run) -> bool:
        del run  # a stream has no end
        return False


def _worker(folder: str) -> str:
    kind, _, number = folder.partition("/")
    return "driver" if kind.upper() == "SPARK_DRIVER" else f"executor {number}".strip()
