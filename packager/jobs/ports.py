"""What jobs need of the outside, and how it fails."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from packager.errors import CommandError


class GoneError(CommandError):
    """What was asked about is not there, or no more."""


class BusyError(CommandError):
    """AWS asks to slow down, is out of order, or was not reached: later it may answer."""


class Emr(Protocol):
    """The service's API."""

    def call(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """One operation by the API's own name, as in `GetJobRun`.

        Raise `ConfigError` for a request that its model forbids, `GoneError`, `BusyError`, and
        `CommandError` for every other refusal.
        """


class Clock(Protocol):
    """Time that only goes forwards. Whatever waits has it from here."""

    def monotonic(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """An object in S3."""

    key: str
    version: str
    """Changes when the object does."""
    modified: float
    """Seconds since 1970, by AWS's clock."""


class LogFiles(Protocol):
    """Objects of one bucket."""

    def under(self, prefix: str) -> Sequence[LogFile]:
        """All whose keys begin so."""

    def read(self, key: str) -> Iterator[bytes]:
        """Its content, unpacked. Raise `GoneError` where it is not there any more."""


class LogStreams(Protocol):
    """Streams of one log group of CloudWatch."""

    def under(self, prefix: str) -> Sequence[str]:
        """Names of those that begin so; none where there is no such group."""

    def read(self, stream: str, token: str | None) -> tuple[Sequence[str], str]:
        """Messages after `token`, or from the beginning, and the token that follows."""
