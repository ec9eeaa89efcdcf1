"""What lies in S3 and in ECR, listed and removed."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from packager.adapters.aws.ecr import Ecr
from packager.adapters.aws.failures import code_of, explained
from packager.adapters.aws.s3 import S3
from packager.adapters.aws.uploads import GONE
from packager.adapters.registry.client import RegistryClient
from packager.errors import CommandError
from packager.imagebuild.assembly import RECORD_LABEL
from packager.manifests import parse_manifest
from packager.publishing.addresses import Repository
from packager.publishing.places import Place
from packager.publishing.store import Meter, Stored
from packager.publishing.versions import StoredImage, StoredObject, StoredUpload
from packager.references import parse_reference

T = TypeVar("T")

AT_ONCE: Final = 1000
"""Keys that DeleteObjects takes (botocore's model of S3)."""
IMAGES_AT_ONCE: Final = 100
"""Images that BatchDeleteImage takes (botocore's model of ECR)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Folder:
    """Implements `publishing.pruning.Folder`."""

    s3: S3

    def look(self, place: Place) -> Stored | None:
        return self.s3.look(place)

    def pieces(self, place: Place, meter: Meter) -> Iterator[bytes]:
        return self.s3.pieces(place, meter)

    def listed(self, folder: Place) -> Sequence[StoredObject]:
        prefix = f"{folder.key}/" if folder.key else ""
        where = {"Bucket": folder.bucket, "Prefix": prefix, "Delimiter": "/", **self.s3.owner}
        with explained(
            f"{folder.uri} can not be listed",
            permission=self.s3.may("ListBucket", Place(bucket=folder.bucket, key="")),
        ):
            pages = self.s3.client.get_paginator("list_objects_v2").paginate(**where)
            return [
                StoredObject(
                    place=Place(bucket=folder.bucket, key=one["Key"]),
                    size=one["Size"],
                    modified=one["LastModified"].timestamp(),
                )
                for page in pages
                for one in page.get("Contents", ())
            ]

    def remove(self, objects: Sequence[StoredObject]) -> None:
        for some in _batches(objects, AT_ONCE):
            place = some[0].place
            needed = self.s3.may("DeleteObject", place)
            with explained(f"{place.uri} can not be removed", permission=needed):
                said = self.s3.client.delete_objects(
                    Bucket=place.bucket,
                    Delete={"Objects": [{"Key": one.place.key} for one in some], "Quiet": True},
                    **self.s3.owner,
                )
            for error in said.get("Errors", ()):
                raise CommandError(
                    f"s3://{place.bucket}/{error['Key']} can not be removed",
                    why=f"{error.get('Code')}: {error.get('Message')}",
                    fix=f"get the permission {needed}, and repeat the command",
                )

    def uploads(self, folder: Place) -> Sequence[StoredUpload]:
        prefix = f"{folder.key}/" if folder.key else ""
        with explained(
            f"uploads to {folder.uri} can not be listed",
            permission=self.s3.may(
                "ListBucketMultipartUploads", Place(bucket=folder.bucket, key="")
            ),
        ):
            pages = self.s3.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=folder.bucket, Prefix=prefix, **self.s3.owner
            )
            return [
                StoredUpload(
                    place=Place(bucket=folder.bucket, key=one["Key"]),
                    number=str(one["UploadId"]),
                    begun=one["Initiated"].timestamp(),
                )
                for page in pages
                for one in page.get("Uploads", ())
            ]

    def abort(self, upload: StoredUpload) -> None:
        from botocore.exceptions import ClientError

        place = upload.place
        with explained(
            f"the upload of {place.uri} can not be given up",
            permission=self.s3.may("AbortMultipartUpload", place),
        ):
            try:
                self.s3.client.abort_multipart_upload(
                    **self.s3.address(place), UploadId=upload.number
                )
            except ClientError as error:
                if code_of(error) != GONE:
                    raise


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrGallery:
    """Implements `publishing.pruning.Gallery`."""

    ecr: Ecr
    repository: Repository
    client: RegistryClient

    def listed(self) -> Sequence[StoredImage]:
        with explained(
            f"the images of {self.repository.name} can not be listed",
            permission=f"ecr:DescribeImages on {self.repository.arn}",
        ):
            pages = self.ecr.client.get_paginator("describe_images").paginate(
                registryId=self.repository.account, repositoryName=self.repository.name
            )
            return [
                StoredImage(
                    repository=self.repository.uri,
                    digest=one["imageDigest"],
                    tags=tuple(one.get("imageTags", ())),
                    size=one.get("imageSizeInBytes", 0),
                    pushed=one["imagePushedAt"].timestamp(),
                )
                for page in pages
                for one in page["imageDetails"]
            ]

    def made_by_packager(self, image: StoredImage) -> bool:
        """By the label that `packager image build` gives; an index is never made by it."""
        reference = parse_reference(image.reference)
        document = self.client.manifest(reference)
        if document.is_index:
            return False
        manifest = parse_manifest(document, str(reference))
        config = json.loads(self.client.read_blob(reference, manifest.config))
        return RECORD_LABEL in ((config.get("config") or {}).get("Labels") or {})

    def remove(self, images: Sequence[StoredImage]) -> None:
        for some in _batches(images, IMAGES_AT_ONCE):
            needed = f"ecr:BatchDeleteImage on {self.repository.arn}"
            with explained(
                f"images of {self.repository.name} can not be removed", permission=needed
            ):
                said = self.ecr.client.batch_delete_image(
                    registryId=self.repository.account,
                    repositoryName=self.repository.name,
                    imageIds=[{"imageDigest": one.digest} for one in some],
                )
            for failure in said.get("failures", ()):
                if failure["failureCode"] != "ImageNotFound":  # somebody else has removed it
                    raise CommandError(
                        f"{self.repository.name}@{failure['imageId']['imageDigest']} can not be"
                        " removed",
                        why=f"{failure['failureCode']}: {failure.get('failureReason', '')}",
                        fix="remove what refers to it, and repeat the command",
                    )


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
