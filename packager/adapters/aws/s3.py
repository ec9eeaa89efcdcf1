"""S3: what is there, and objects that come to be there whole, once, and with a checksum.

Nothing is overwritten: every write has the condition that nothing is there (`If-None-Match: *`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from packager.adapters.aws.failures import code_of, explained
from packager.adapters.aws.parallel import THREADS, in_parallel
from packager.adapters.aws.session import Session
from packager.adapters.aws.slices import Source, opened
from packager.errors import CommandError
from packager.publishing.digests import Part, digest_of_part
from packager.publishing.options import ObjectOptions
from packager.publishing.places import Place
from packager.publishing.store import Item, Meter, Sent, Stored, is_same

SHA256: Final = "packager-sha256"
"""Metadata: the hash of the whole, which S3 does not compute of what comes in parts."""
CORRUPTED: Final = frozenset(
    {"BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "IncompleteBody"}
)
TAKEN: Final = "PreconditionFailed"
CONFLICT: Final = frozenset({"ConditionalRequestConflict", "OperationAborted"})
NO_COPY: Final = frozenset(
    ["AccessDenied", "NoSuchBucket", "NoSuchKey", "InvalidRequest", "NotImplemented"]
)
"""Reasons that need not hold for who reads and writes himself: rights of another account, a bucket
of another partition, a store that can not copy."""
LARGEST_COPY: Final = 5 << 30
"""Bytes of one CopyObject (S3 User Guide, "Copying, moving, and renaming objects")."""
PIECE: Final = 1 << 18
TRIES: Final = 4
"""Of what the SDK does not try again by itself: corrupted parts, conflicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3:
    """Implements `ObjectStore`."""

    client: Any
    partition: str
    options: ObjectOptions
    largest_copy: int
    """Bytes; what is larger is copied in parts."""

    def region_of(self, bucket: str) -> str | None:
        from botocore.exceptions import ClientError

        place = Place(bucket=bucket, key="")
        with explained(
            f"the bucket {bucket} can not be used", permission=self.may("ListBucket", place)
        ):
            try:
                said = self.client.head_bucket(Bucket=bucket, **self.owner)
            except ClientError as error:
                headers = error.response["ResponseMetadata"]["HTTPHeaders"]
                if code_of(error) == "400":  # an answer to HEAD has no room for a reason
                    self.client.list_objects_v2(Bucket=bucket, MaxKeys=1, **self.owner)
                if code_of(error) not in {"403", "301"}:
                    raise
                region = headers.get("x-amz-bucket-region")
            else:
                region = said.get("BucketRegion")
        return str(region) if region else None

    def find(self, place: Place) -> Stored | None:
        return self.look(place, missing=frozenset({"404", "NoSuchKey", "403"}))

    def look(
        self, place: Place, *, missing: frozenset[str] = frozenset({"404", "NoSuchKey"})
    ) -> Stored | None:
        """None for an answer of `missing`: without s3:ListBucket, S3 denies what is not there."""
        from botocore.exceptions import ClientError

        where = {"Bucket": place.bucket, "Key": place.key, **self.owner}
        with explained(
            f"{place.uri} can not be looked up", permission=self.may("GetObject", place)
        ):
            try:
                said = self.client.head_object(ChecksumMode="ENABLED", **where)
            except ClientError as error:
                if code_of(error) in missing:
                    return None
                if code_of(error) == "400":
                    self.client.get_object(Range="bytes=0-0", **where)["Body"].close()
                raise
        return Stored(
            size=said["ContentLength"],
            checksum=said.get("ChecksumSHA256"),
            sha256=said.get("Metadata", {}).get(SHA256),
            whole=said.get("ChecksumType") == "FULL_OBJECT",
            encryption=said.get("ServerSideEncryption", ""),
        )

    def pieces(self, place: Place, meter: Meter) -> Iterator[bytes]:
        """What it holds. Raise `CommandError` where it is not there, or breaks off."""
        needed = self.may("GetObject", place)
        with explained(f"{place.uri} can not be read", permission=needed):
            said = self.client.get_object(**self.address(place))
            meter.expect(said["ContentLength"])
            with closing(said["Body"]) as body:
                for piece in body.iter_chunks(PIECE):
                    meter.moved(len(piece))
                    yield piece

    def put(self, items: Sequence[Item], meter: Meter) -> Sequence[Sent]:
        from packager.adapters.aws.uploads import upload

        found = in_parallel([partial(self.present, item) for item in items])
        missing = [item for item, sent in zip(items, found, strict=True) if sent is None]
        meter.expect(sum(item.digests.size for item in missing))
        small = [item for item in missing if len(item.digests.parts) == 1]
        tasks = [partial(self._put_whole, item, meter) for item in small]
        done = {sent.item.place: sent for sent in in_parallel(tasks)}
        for item in missing:
            if item.place not in done:
                done[item.place] = upload(self, item, meter)
        return [sent or done[item.place] for item, sent in zip(items, found, strict=True)]

    def present(self, item: Item) -> Sent | None:
        """None where it is not there. Raise `CommandError` if something else is in its place."""
        stored = self.find(item.place)
        if stored is None:
            return None
        if not is_same(stored, item.digests):
            raise CommandError(
                f"{item.place.uri} is there and holds something else",
                why=f"it has {stored.size} bytes and the SHA-256 {stored.sha256 or 'unknown'};"
                f" what is to be published has {item.digests.size} and {item.digests.sha256}",
                fix="nothing was changed: remove it, or publish elsewhere with --s3-uri",
            )
        return Sent(item=item, present=True, encryption=stored.encryption)

    def taken(self, item: Item) -> Sent:
        """What to say of an item that somebody else has stored meanwhile."""
        sent = self.present(item)
        if sent is None:
            raise CommandError(
                f"{item.place.uri} is there, but not what it holds can be seen",
                why="AWS denies it",
                fix=f"get the permission {self.may('GetObject', item.place)}",
            )
        return sent

    def copy(self, source: Place, item: Item) -> bool:
        """Have S3 copy an object, if nothing is there; False where it does not do that itself."""
        from botocore.exceptions import ClientError

        from packager.adapters.aws.copies import copy_in_parts

        if item.digests.size > self.largest_copy:
            return copy_in_parts(self, source, item)
        with self.writing(item):
            try:
                self.client.copy_object(
                    **self.address(item.place),
                    **{**self.kept(item), "Tagging": urlencode(self.options.tags)},
                    CopySource={"Bucket": source.bucket, "Key": source.key},
                    MetadataDirective="REPLACE",
                    TaggingDirective="REPLACE",
                    ChecksumAlgorithm="SHA256",
                    IfNoneMatch="*",
                )
            except ClientError as error:
                code = code_of(error)
                if code in NO_COPY:
                    return False
                if code != TAKEN:  # by somebody else meanwhile: what it holds is looked at next
                    raise
        return True

    def _put_whole(self, item: Item, meter: Meter) -> Sent:
        from botocore.exceptions import ClientError

        (part,) = item.digests.parts
        with opened(item.source, meter.moved) as source, self.writing(item):
            for last in (*(False,) * (TRIES - 1), True):
                body = source.slice(part)
                try:
                    self.client.put_object(
                        **self.address(item.place),
                        **self.kept(item),
                        **self.checked(part),
                        Body=body,
                        IfNoneMatch="*",
                    )
                except ClientError as error:
                    body.seek(0)
                    if code_of(error) == TAKEN:
                        return self.taken(item)
                    self.require_another_try(error, source, item, part, last=last)
                else:
                    break
        return Sent(item=item, present=False, sent=part.size)

    def require_another_try(
        self, error: Exception, source: Source, item: Item, part: Part, *, last: bool
    ) -> None:
        """Raise `error`, unless another try may help: what arrived was not what was sent."""
        code = code_of(error)
        if code in CORRUPTED and digest_of_part(source.read, part) != part.digest:
            raise CommandError(
                f"{item.source if isinstance(item.source, Path) else item.place.uri} was changed"
                " while it was sent",
                why="its checksum is not the one it had",
                fix="nothing was published of it: pack and publish again",
            ) from error
        if last or code not in CORRUPTED | CONFLICT:
            raise error

    @property
    def owner(self) -> Mapping[str, str]:
        return {"ExpectedBucketOwner": self.options.owner} if self.options.owner else {}

    def address(self, place: Place) -> Mapping[str, str]:
        return {"Bucket": place.bucket, "Key": place.key, **self.owner}

    def kept(self, item: Item) -> Mapping[str, Any]:
        """What is told once for an object: how to keep it."""
        options = self.options
        told = {
            "StorageClass": options.storage_class,
            "Tagging": urlencode(options.tags) or None,
        }
        return {
            "ContentType": item.content_type,
            "Metadata": {SHA256: item.digests.sha256},
            **self.encrypted,
            **{name: value for name, value in told.items() if value},
        }

    @property
    def encrypted(self) -> Mapping[str, str]:
        told = {
            "ServerSideEncryption": self.options.encryption,
            "SSEKMSKeyId": self.options.kms_key,
        }
        return {name: value for name, value in told.items() if value}

    def checked(self, part: Part) -> Mapping[str, str]:
        """What S3 refuses the part by, if it arrives as another."""
        return {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": part.checksum}

    def may(self, action: str, place: Place) -> str:
        return f"s3:{action} on {place.arn(self.partition)}"

    def writing(self, item: Item) -> Any:
        """For the calls that store an item."""
        needed = [self.may("PutObject", item.place)]
        if self.options.tags:
            needed.append("s3:PutObjectTagging")
        if self.options.kms_key or self.options.encryption == "aws:kms":
            needed.append("kms:GenerateDataKey and kms:Decrypt of the key")
        return explained(f"{item.place.uri} can not be stored", permission=", ".join(needed))


def open_s3(session: Session, options: ObjectOptions) -> S3:
    # A checksum is among what is signed, so to sign the content, too, would be to hash it twice.
    client = session.client("s3", connections=THREADS + 2, s3={"payload_signing_enabled": False})
    return S3(
        client=client,
        partition=session.partition,
        options=options,
        largest_copy=LARGEST_COPY,
    )
