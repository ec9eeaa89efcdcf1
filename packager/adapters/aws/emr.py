"""EMR Serverless: one function that asks it anything, and the model of what may be asked."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from packager.adapters.aws.failures import code_of, explained, is_passing
from packager.adapters.aws.session import Session
from packager.awsmodel import Model, request_problems
from packager.errors import CommandError, ConfigError
from packager.jobs.ports import BusyError, GoneError

SERVICE: Final = "emr-serverless"
PURPOSES: Final[Mapping[str, str]] = {
    "StartJobRun": "the job can not be started",
    "GetJobRun": "the run can not be asked about",
    "CancelJobRun": "the run can not be cancelled",
    "ListJobRuns": "the runs can not be listed",
    "GetDashboardForJobRun": "the dashboard's address can not be had",
    "CreateApplication": "the application can not be created",
    "UpdateApplication": "the application can not be changed",
    "StartApplication": "the application can not be started",
    "StopApplication": "the application can not be stopped",
    "DeleteApplication": "the application can not be deleted",
    "GetApplication": "the application can not be asked about",
    "ListApplications": "the applications can not be listed",
    "TagResource": "tags can not be set",
}
"""What can not be done if the call fails."""
_GONE: Final = frozenset({"ResourceNotFoundException", "NoSuchKey"})


class EmrServerless:
    """Implements `packager.jobs.ports.Emr`."""

    def __init__(self, session: Session) -> None:
        self._client = session.client(SERVICE)

    @staticmethod
    def check(operation: str, request: Mapping[str, Any]) -> None:
        """Raise `ConfigError` for a request that the model of the API forbids."""
        if problems := request_problems(model(), operation, request):
            raise ConfigError(
                PURPOSES[operation], why="; ".join(problems), fix="correct that, and try again"
            )

    def call(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        from botocore import xform_name

        what = PURPOSES[operation]
        self.check(operation, request)
        with failures_told_apart(what, f"{SERVICE}:{operation}"):
            answer: Mapping[str, Any] = getattr(self._client, xform_name(operation))(**request)
        return answer


@contextlib.contextmanager
def failures_told_apart(what: str, permission: str) -> Iterator[None]:
    """`explained`, with what is gone or busy as `GoneError` and `BusyError`."""
    try:
        with explained(what, permission=permission):
            yield
    except CommandError as error:
        kind = _kind(error.__cause__)
        raise kind(error.what, why=error.why, fix=error.fix) from error.__cause__


def _kind(cause: BaseException | None) -> type[CommandError]:
    if cause is None:
        return CommandError
    if code_of(cause) in _GONE:
        return GoneError
    return BusyError if is_passing(cause) else CommandError


@cache
def model() -> Model:
    """The service's own, as botocore ships it."""
    from botocore.loaders import Loader

    loaded: Model = Loader().load_service_model(SERVICE, "service-2")
    return loaded
