"""What a job will find at AWS: its files, its buckets, its role. Reads only."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from packager.adapters.aws.failures import THROTTLED, code_of, explained
from packager.adapters.aws.session import Session
from packager.jobs.preflight import BucketFacts, JobFacts, RoleFacts


def job_facts(session: Session, *, role: str, files: Iterable[str], logs: str | None) -> JobFacts:
    """`files` are S3 URIs of what the job reads. What may not be looked at stays unknown.

    Raise `CommandError` where AWS asks to slow down, and went on with that.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    s3 = session.client("s3")
    buckets: dict[str, BucketFacts] = {}
    missing: list[str] = []
    uris = list(dict.fromkeys(files))
    for uri in (*uris, *([logs] if logs else ())):
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if bucket not in buckets:
            buckets[bucket] = _bucket(s3, bucket)
        if uri in uris and buckets[bucket].exists:
            try:
                with _throttling_told(uri):
                    s3.head_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if code_of(error) in {"404", "NoSuchKey", "NotFound"}:
                    missing.append(uri)
            except BotoCoreError:
                continue
    return JobFacts(
        region=session.region, role=_role(session, role), buckets=buckets, missing=tuple(missing)
    )


@contextlib.contextmanager
def _throttling_told(what: str) -> Iterator[None]:
    """Let all else that the SDK raises pass."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if code_of(error) not in THROTTLED.split():
            raise
        fix = "try again later, or go without a look before: --no-preflight"
        with explained(f"{what} can not be looked at", fix=fix):
            raise


def _bucket(s3: Any, bucket: str) -> BucketFacts:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        with _throttling_told(f"the bucket {bucket}"):
            said = s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        exists = code_of(error) not in {"404", "NoSuchBucket"}
        return BucketFacts(exists=exists, region=headers.get("x-amz-bucket-region"))
    except BotoCoreError:
        return BucketFacts(exists=None, region=None)
    headers = said["ResponseMetadata"]["HTTPHeaders"]
    region = said.get("BucketRegion") or headers.get("x-amz-bucket-region")
    return BucketFacts(exists=True, region=region)


def _role(session: Session, arn: str) -> RoleFacts:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        with _throttling_told(f"the role {arn}"):
            role = session.client("iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]
    except ClientError as error:
        return RoleFacts(exists=False if code_of(error) == "NoSuchEntity" else None, trust=None)
    except BotoCoreError:
        return RoleFacts(exists=None, trust=None)
    trust = role["AssumeRolePolicyDocument"]
    if isinstance(trust, str):
        from packager.documents import parse_json

        trust = parse_json(unquote(trust))
    return RoleFacts(exists=True, trust=trust)
