"""Large objects that S3 copies itself, part by part: no content goes over the network.

The parts are those that an upload has, so the copy has the checksum that an upload would have.
"""

from contextlib import suppress
from functools import partial
from typing import Any

from packager.adapters.aws.failures import code_of
from packager.adapters.aws.parallel import in_parallel
from packager.adapters.aws.s3 import CONFLICT, NO_COPY, S3, TAKEN, TRIES
from packager.adapters.aws.uploads import GONE, created
from packager.errors import CommandError
from packager.publishing.digests import Part, planned_parts
from packager.publishing.places import Place
from packager.publishing.store import Item


def copy_in_parts(s3: S3, source: Place, item: Item) -> bool:
    """Have S3 copy an object, if nothing is there; False where it does not do that itself.

    Raise `CommandError` where it fails, or a part is another than it should be. Nothing is left of
    a copy that is not whole.
    """
    from botocore.exceptions import ClientError

    with s3.writing(item):
        for last in (*(False,) * (TRIES - 1), True):
            try:
                _attempt(s3, source, item)
            except ClientError as error:
                code = code_of(error)
                if code in NO_COPY:
                    return False
                if code == TAKEN:  # by somebody else meanwhile: what it holds is looked at next
                    return True
                if code == GONE and s3.find(item.place) is not None:  # the answer was lost
                    return True
                if last or code not in CONFLICT | {GONE}:
                    raise
            else:
                return True
    raise AssertionError


def _attempt(s3: S3, source: Place, item: Item) -> None:
    number = created(s3, item.place, s3.kept(item))
    try:
        parts = item.digests.parts or planned_parts(item.digests.size)
        copied = in_parallel([partial(_copy, s3, source, item, number, part) for part in parts])
        s3.client.complete_multipart_upload(
            **s3.address(item.place),
            UploadId=number,
            MultipartUpload={"Parts": copied},
            MpuObjectSize=item.digests.size,
            IfNoneMatch="*",
        )
    except BaseException:
        abort(s3, item.place, number)
        raise


def _copy(s3: S3, source: Place, item: Item, number: str, part: Part) -> dict[str, Any]:
    """One part; what its upload is completed with. S3 compares the checksum once more then."""
    said = s3.client.upload_part_copy(
        **s3.address(item.place),
        UploadId=number,
        PartNumber=part.number,
        CopySource={"Bucket": source.bucket, "Key": source.key},
        CopySourceRange=f"bytes={part.start}-{part.start + part.size - 1}",
    )["CopyPartResult"]
    told = said.get("ChecksumSHA256")
    if part.digest and told not in {None, part.checksum}:
        raise CommandError(
            f"{item.place.uri} can not be stored",
            why=f"part {part.number} of the copy of {source.uri} has the SHA-256 {told},"
            f" not {part.checksum}",
            fix="repeat the command",
        )
    checksum = part.checksum if part.digest else told
    return {
        "PartNumber": part.number,
        "ETag": said["ETag"],
        **({"ChecksumSHA256": checksum} if checksum else {}),
    }


def abort(s3: S3, place: Place, number: str) -> None:
    """Give an upload up, if that can be; else it is cleared away a day later."""
    from botocore.exceptions import BotoCoreError, ClientError

    with suppress(ClientError, BotoCoreError):
        s3.client.abort_multipart_upload(**s3.address(place), UploadId=number)
