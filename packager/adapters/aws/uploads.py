"""Objects that go up in parts, several at once, and go on where an earlier upload broke off.

No state is kept here: S3 knows the parts that have arrived, with their checksums. Uploads of the
same key by others are taken for our own, since the key is made of the content; whoever comes second
finds it done.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from packager.adapters.aws.failures import DENIED, code_of
from packager.adapters.aws.parallel import in_parallel
from packager.adapters.aws.s3 import CONFLICT, S3, TAKEN, TRIES
from packager.adapters.aws.slices import Source, opened
from packager.errors import CommandError
from packager.publishing.digests import Part
from packager.publishing.places import Place
from packager.publishing.store import Item, Meter, Sent

GONE: Final = "NoSuchUpload"
"""Somebody has completed it, or given it up."""
STALE: Final = frozenset({"InvalidPart", "InvalidPartOrder"})
"""Somebody else has sent a part again since."""

ETags = dict[int, str]


def upload(s3: S3, item: Item, meter: Meter) -> Sent:
    """Put an item of several parts where nothing is. Raise `CommandError` where that fails."""
    for _ in range(TRIES):
        with opened(item.source, meter.moved) as source, s3.writing(item):
            sent = _attempt(s3, item, source)
            if sent is not None:
                _abort_others(s3, item)
                return sent
            meter.expect(item.digests.size)
    raise CommandError(
        f"{item.place.uri} can not be stored",
        why="somebody else changes it, or gives its uploads up, again and again",
        fix="find out who, and publish again",
    )


def _attempt(s3: S3, item: Item, source: Source) -> Sent | None:
    """None where it has to begin anew."""
    from botocore.exceptions import ClientError

    number, etags = _broken_off(s3, item) or (created(s3, item.place, s3.kept(item)), {})
    missing = [part for part in item.digests.parts if part.number not in etags]
    left = sum(part.size for part in missing)
    source.moved(item.digests.size - left)
    tasks = [partial(send, s3, item, number, part, source) for part in missing]
    try:
        sent = in_parallel(tasks, source.stopped)
        etags.update(zip((part.number for part in missing), sent, strict=True))
        _complete(s3, item, number, etags)
    except ClientError as error:
        code = code_of(error)
        if code == TAKEN:
            return s3.taken(item)
        if code not in CONFLICT | {GONE}:
            raise
        return s3.present(item)
    return Sent(item=item, present=False, sent=left, resumed=item.digests.size - left)


def created(s3: S3, place: Place, how: Mapping[str, Any]) -> str:
    """The number of a new upload; `how` the object is to be kept."""
    said = s3.client.create_multipart_upload(**s3.address(place), **how, ChecksumAlgorithm="SHA256")
    return str(said["UploadId"])


def _broken_off(s3: S3, item: Item) -> tuple[str, ETags] | None:
    """The upload of this item that has come furthest, and its parts that are as they should be."""
    found = [(number, _arrived(s3, item, number)) for number in _uploads(s3, item)]
    return max(found, key=lambda upload: len(upload[1]), default=None)


def _uploads(s3: S3, item: Item) -> list[str]:
    """Numbers of those that are under way or broken off; none where that may not be known."""
    from botocore.exceptions import ClientError

    where = {"Bucket": item.place.bucket, "Prefix": item.place.key, **s3.owner}
    try:
        pages = s3.client.get_paginator("list_multipart_uploads").paginate(**where)
        return [
            str(one["UploadId"])
            for page in pages
            for one in page.get("Uploads", ())
            if one["Key"] == item.place.key and one.get("ChecksumAlgorithm", "SHA256") == "SHA256"
        ]
    except ClientError as error:
        if code_of(error) in DENIED.split():
            return []
        raise


def _arrived(s3: S3, item: Item, number: str) -> ETags:
    from botocore.exceptions import ClientError

    wanted = {part.number: part for part in item.digests.parts}
    try:
        pages = s3.client.get_paginator("list_parts").paginate(
            **s3.address(item.place), UploadId=number
        )
        return {
            there["PartNumber"]: there["ETag"]
            for page in pages
            for there in page.get("Parts", ())
            if (part := wanted.get(there["PartNumber"]))
            and there["Size"] == part.size
            and there.get("ChecksumSHA256") == part.checksum
        }
    except ClientError as error:
        if code_of(error) in {*DENIED.split(), GONE}:
            return {}
        raise


def send(s3: S3, item: Item, number: str, part: Part, source: Source) -> str:
    """Send one part of an upload; its ETag."""
    from botocore.exceptions import ClientError

    for last in (*(False,) * (TRIES - 1), True):
        body = source.slice(part)
        try:
            said = s3.client.upload_part(
                **s3.address(item.place),
                **s3.checked(part),
                UploadId=number,
                PartNumber=part.number,
                Body=body,
            )
            return str(said["ETag"])
        except ClientError as error:
            body.seek(0)
            s3.require_another_try(error, source, item, part, last=last)
    raise AssertionError


def _complete(s3: S3, item: Item, number: str, etags: ETags) -> None:
    from botocore.exceptions import ClientError

    for last in (*(False,) * (TRIES - 1), True):
        try:
            s3.client.complete_multipart_upload(
                **s3.address(item.place),
                UploadId=number,
                MultipartUpload={"Parts": completed_parts(item.digests.parts, etags)},
                MpuObjectSize=item.digests.size,
                IfNoneMatch="*",
            )
        except ClientError as error:
            if code_of(error) not in STALE or last:
                raise
            etags |= _arrived(s3, item, number)
        else:
            return


def completed_parts(parts: Iterable[Part], etags: ETags) -> list[Mapping[str, Any]]:
    """What an upload is completed with."""
    return [
        {
            "PartNumber": part.number,
            "ETag": etags[part.number],
            "ChecksumSHA256": part.checksum,
        }
        for part in parts
    ]


def _abort_others(s3: S3, item: Item) -> None:
    """Uploads of what is there cost money and can not end well; who makes them finds it there."""
    from botocore.exceptions import BotoCoreError, ClientError

    with suppress(ClientError, BotoCoreError):
        for number in _uploads(s3, item):
            s3.client.abort_multipart_upload(**s3.address(item.place), UploadId=number)
