"""S3 with what is on its way already: what is published of it only has to get its name."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from packager.adapters.aws.arrivals import Arrival, Arrivals
from packager.adapters.aws.copies import copy_in_parts
from packager.adapters.aws.parallel import StoppedError
from packager.adapters.aws.s3 import S3
from packager.publishing.places import Place
from packager.publishing.store import Item, Meter, Sent, Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivingStore:
    """Implements `ObjectStore`: S3, with what is on its way already."""

    s3: S3
    arrivals: Arrivals

    def region_of(self, bucket: str) -> str | None:
        return self.s3.region_of(bucket)

    def find(self, place: Place) -> Stored | None:
        return self.s3.find(place)

    def put(self, items: Sequence[Item], meter: Meter) -> Sequence[Sent]:
        done: dict[Place, Sent] = {}
        for item in items:
            arrival = self.arrivals.of(item)
            if arrival is None:
                continue
            sent = self.s3.present(item)
            if sent is None:
                sent = _published(self.s3, arrival, item, meter)
            else:
                arrival.stop()
            if sent is not None:
                done[item.place] = sent
        rest = [item for item in items if item.place not in done]
        done |= zip((item.place for item in rest), self.s3.put(rest, meter), strict=True)
        return [done[item.place] for item in items]


def _published(s3: S3, arrival: Arrival, item: Item, meter: Meter) -> Sent | None:
    """None where S3 does not copy, or it came to be there meanwhile: then all else is tried."""
    try:
        with s3.writing(arrival.item):
            version = arrival.complete(s3, item.digests, meter)
    except StoppedError:
        return None
    try:
        if not copy_in_parts(s3, arrival.item.place, item):
            return None
        s3.taken(item)  # what it holds is held against its digests
    finally:
        _remove(s3, arrival.item.place, version)
    return Sent(item=item, present=False, sent=arrival.sent)


def _remove(s3: S3, place: Place, version: str | None) -> None:
    """For good, also where a bucket keeps versions. What stays is cleared away a day later."""
    from botocore.exceptions import BotoCoreError, ClientError

    with contextlib.suppress(ClientError, BotoCoreError):
        which = {"VersionId": version} if version else {}
        s3.client.delete_object(**s3.address(place), **which)
