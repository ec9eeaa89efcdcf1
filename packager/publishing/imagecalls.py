"""The requests that a push of an image makes, told without making them."""

from collections.abc import Callable, Iterator

from packager.publishing.calls import Call
from packager.publishing.imagecontent import ImageContent
from packager.references import Reference


def calls_to_push(
    reference: Reference, content: ImageContent, lacks: Callable[[str], bool], *, present: bool
) -> Iterator[Call]:
    """What it takes to push an image, of whose blobs the registry `lacks` some.

    Those of the registry's protocol have names that say what they do: the protocol has none. Bytes
    of `MountBlob` are sent only if the registry does not share what another repository has.
    """
    near = content.near is not None and content.near.host == reference.host
    yield Call(name="HeadManifest", uri=str(reference))
    if not present:
        yield Call(name="HeadManifest", uri=str(reference))  # by who sends, right before
        blobs = [(layer.descriptor, near) for layer in content.layers]
        for blob, shared in (*blobs, (content.config.descriptor, False)):
            uri = f"{reference.name}@{blob.digest}"
            yield Call(name="HeadBlob", uri=uri)
            if lacks(blob.digest):
                yield Call(name="MountBlob" if shared else "UploadBlob", uri=uri, size=blob.size)
        size = len(content.manifest.content)
        yield Call(name="PutManifest", uri=str(reference), size=size)
        yield Call(name="HeadManifest", uri=str(reference))
    yield Call(name="DescribeImages", uri=str(reference))
