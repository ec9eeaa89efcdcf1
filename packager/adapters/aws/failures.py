"""What AWS's SDK raises, as errors that people can act on. No secret is in them."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from packager.errors import CommandError, ConfigError, PackagerError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sort:
    """Refusals that have one reason, by the codes that services give them."""

    codes: str
    """With blanks in between."""
    why: str
    """`{message}` is what the service said."""
    fix: str


THROTTLED: Final = (
    "SlowDown Throttling ThrottlingException ThrottledException RequestThrottled "
    "RequestThrottledException TooManyRequestsException RequestLimitExceeded "
    "BandwidthLimitExceeded 503 429"
)
"""With blanks in between, as all of these; a number is what is known of the answer to a HEAD."""
BROKEN: Final = (
    "500 502 504 InternalError InternalFailure InternalServerError InternalServerException "
    "ServiceFailure ServiceUnavailable ServiceUnavailableException RequestTimeout "
    "RequestTimeoutException"
)
_SORTS: Final = (
    _Sort(
        codes="ExpiredToken ExpiredTokenException RequestExpired",
        why="the credentials have expired",
        fix="log in again (aws sso login, aws login), then repeat the command: it goes on",
    ),
    _Sort(
        codes="InvalidAccessKeyId InvalidClientTokenId UnrecognizedClientException InvalidToken "
        "SignatureDoesNotMatch InvalidSignatureException IncompleteSignature AuthFailure",
        why="AWS does not accept the credentials: {message}",
        fix="look at the variables AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN, or at the profile",
    ),
    _Sort(
        codes="RequestTimeTooSkewed",
        why="this machine's clock is wrong: {message}",
        fix="set the clock",
    ),
    _Sort(
        codes=THROTTLED,
        why="AWS asks to slow down, and did so at every try: {message}",
        fix="try again later; what is done stays done",
    ),
    _Sort(
        codes="PermanentRedirect TemporaryRedirect 301 307 AuthorizationHeaderMalformed "
        "IllegalLocationConstraintException",
        why="it is in another Region: {message}",
        fix="name that with --region",
    ),
    _Sort(
        codes="404 NoSuchBucket NoSuchKey NotFound ResourceNotFoundException "
        "RepositoryNotFoundException NoSuchUpload",
        why="it is not there: {message}",
        fix="look at its name, and whether it is of this account and Region",
    ),
    _Sort(
        codes=BROKEN,
        why="AWS failed at every try: {message}",
        fix="try again later; what is done stays done",
    ),
)

DENIED: Final = (
    "403 AccessDenied AccessDeniedException AllAccessDisabled AccountProblem "
    "UnauthorizedOperation KMS.AccessDeniedException NotAuthorized"
)

NETWORK: Final = "check the network, the proxy and AWS_ENDPOINT_URL, and try again"


def is_passing(error: BaseException) -> bool:
    """Whether the same call may be answered later: AWS is busy, out of order or was not reached."""
    from botocore import exceptions as sdk

    if isinstance(error, sdk.HTTPClientError | sdk.ConnectionError | sdk.IncompleteReadError):
        return True
    return code_of(error) in f"{THROTTLED} {BROKEN}".split()


def code_of(error: BaseException) -> str:
    """The code of a service's refusal, e.g. `NoSuchKey`; empty for everything else."""
    answer: Any = getattr(error, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""


@contextlib.contextmanager
def explained(what: str, *, permission: str = "", fix: str = "") -> Iterator[None]:
    """Turn what the SDK raises into `CommandError`, or `ConfigError` for wrong settings.

    `what` is what can not be done then, `permission` what the call needs if it is denied, as in
    `s3:PutObject on arn:aws:s3:::bucket/key`, and `fix` goes before the usual one.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _refused(what, error, permission, fix) from error
    except BotoCoreError as error:
        raise _failed(what, error, fix) from error


def _refused(what: str, error: Any, permission: str, fix: str) -> PackagerError:
    code, message = code_of(error), _plain(error.response.get("Error", {}).get("Message", ""))
    if code in DENIED.split():
        return CommandError(
            what,
            why=f"AWS denies it{f' ({message})' if message and message != 'Forbidden' else ''}",
            fix=fix
            or (
                f"get the permission {permission}; a policy of the bucket, key or organisation may"
                " deny it, too"
                if permission
                else "get the permission, or choose another profile with --profile"
            ),
        )
    sort = next((sort for sort in _SORTS if code in sort.codes.split()), None)
    if sort is None:
        return CommandError(what, why=f"AWS says {code}: {message}", fix=fix)
    why = sort.why.format(message=message or code)
    return CommandError(what, why=why, fix=fix or sort.fix)


def _failed(what: str, error: BaseException, fix: str) -> PackagerError:
    """What did not come as far as an answer."""
    from botocore import exceptions as sdk

    told = _plain(str(error))
    match error:
        case sdk.NoCredentialsError():
            return CommandError(
                what,
                why="there are no AWS credentials",
                fix=fix or "log in (aws configure, aws sso login), or set --profile or AWS_PROFILE",
            )
        case sdk.ProfileNotFound():
            return ConfigError(
                what, why=told, fix="list those that are there: aws configure list-profiles"
            )
        case sdk.NoRegionError():
            return ConfigError(what, why="no AWS Region is given", fix="use --region")
        case (
            sdk.InvalidRegionError()
            | sdk.UnknownRegionError()
            | sdk.ParamValidationError()
            | sdk.ConfigParseError()
            | sdk.ConfigNotFound()
            | sdk.InvalidRetryModeError()
            | sdk.InvalidMaxRetryAttemptsError()
            | sdk.UnknownServiceError()
        ):
            return ConfigError(what, why=told, fix=fix or "correct it")
        case (
            sdk.SSOTokenLoadError()
            | sdk.UnauthorizedSSOTokenError()
            | sdk.TokenRetrievalError()
            | sdk.LoginError()
            | sdk.CredentialRetrievalError()
            | sdk.PartialCredentialsError()
        ):
            return CommandError(
                what,
                why=f"the credentials can not be had: {told}",
                fix=fix or "log in again (aws sso login, aws login)",
            )
        case sdk.HTTPClientError() | sdk.ConnectionError() | sdk.IncompleteReadError():
            return CommandError(what, why=told, fix=fix or NETWORK)
        case _:
            return CommandError(what, why=f"{type(error).__name__}: {told}", fix=fix)


def _plain(text: str) -> str:
    """One line, without the user and password that an address may have, or a signature."""
    text = re.sub(r"(\w+://)[^\s/@]+@", r"\1***@", " ".join(str(text).split()))
    return re.sub(r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s\"']+", r"\1***", text)
