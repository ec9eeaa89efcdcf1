"""Archives that go up while they are written.

What an archive is called is known when it is whole, and whether it may be published when it was
judged. So its parts go into an upload of a key of its own below `.arriving`. To publish it is to
end that upload, to have S3 copy the object to its name, and to remove it; all else gives the upload
up, and nothing was ever to be seen. The digests of the parts are made on the way, too: nothing is
read from the disk a second time.
"""

import contextlib
import os
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final

from packager.adapters.aws.copies import abort
from packager.adapters.aws.failures import code_of
from packager.adapters.aws.parallel import THREADS, StoppedError
from packager.adapters.aws.s3 import S3
from packager.adapters.aws.slices import Source
from packager.adapters.aws.uploads import GONE, completed_parts, created, send
from packager.errors import CommandError
from packager.publishing.digests import MOST_PARTS, SMALLEST_PART, Digests, Part, digest_of_part
from packager.publishing.places import ARRIVING, Place
from packager.publishing.store import Item, Meter, is_same
from packager.tarball import Written

PATIENCE_S: Final = 5
"""How long calls under way are waited for, when their upload is given up."""

LARGEST: Final = SMALLEST_PART * MOST_PARTS
"""Bytes; what is larger has larger parts, and begins to go when it is published."""

_UNKNOWN: Final = Digests(sha256="", size=0, parts=())


@dataclass(slots=True, eq=False, kw_only=True)
class Arrival:
    """Implements `Witness`: an archive, and how much of it has gone."""

    item: Item
    """Where it arrives; what is in it is not known yet."""
    file: int
    """A descriptor of its own."""
    begin: Callable[["Arrival", int], None]
    """Hears of each part, by where it begins, that is written."""
    look: Callable[["Arrival"], None]
    """Hears that all is written."""
    source: Source = field(init=False)
    digests: Future[Digests] = field(default_factory=Future)
    name: Path | None = None
    """Where it lies on this machine, once it is whole."""
    size: int = 0
    """Bytes, of what is written; all of it once it is whole."""
    seen: int = 0
    """Bytes of which parts were begun."""
    number: str = ""
    """Of the upload."""
    parts: list[Part] = field(default_factory=list)
    etags: dict[int, str] = field(default_factory=dict)
    looked: threading.Event = field(default_factory=threading.Event)
    """Set when it may begin: it is not there already, as far as that may be told before."""
    failure: BaseException | None = None
    sent: int = 0
    """Bytes."""
    lock: threading.Condition = field(default_factory=threading.Condition)
    creating: threading.Lock = field(default_factory=threading.Lock)
    """One of its own, since nobody who wants to end may wait for a call that does not."""
    _meter: Meter | None = None
    _sha256: str = ""
    _changed_ns: int = 0

    def __post_init__(self) -> None:
        number = self.file
        self.source = Source(
            read=lambda start, size: os.pread(number, size, start), moved=self._moved
        )

    def grown(self, size: int) -> None:
        self.size = size
        if size > LARGEST:
            self.source.stopped.set()
        while size - self.seen > SMALLEST_PART:  # more must follow: the last may be smaller
            self._next(self.seen + SMALLEST_PART)

    def whole(self, path: Path, written: Written) -> None:
        self.size, self._sha256 = written.size, written.sha256
        if not self.seen or written.size > LARGEST:
            return
        self.name = path
        self._changed_ns = os.fstat(self.file).st_mtime_ns
        self._next(written.size)
        self.look(self)

    def _next(self, end: int) -> None:
        start, self.seen = self.seen, end
        self.begin(self, start)

    def part(self, start: int) -> Part:
        """The next, with its digest. Of all of them in order; the last settles `digests`."""
        size = min(SMALLEST_PART, self.seen - start)
        part = Part(number=len(self.parts) + 1, start=start, size=size, digest=b"")
        part = replace(part, digest=digest_of_part(self.source.read, part))
        self.parts.append(part)
        if self._sha256 and start + size == self.size:
            if os.fstat(self.file).st_mtime_ns != self._changed_ns:
                raise CommandError(
                    f"{self.name} was changed while it was sent",
                    why="something else wrote to it",
                    fix="nothing was published of it: pack and publish again",
                )
            made = Digests(sha256=self._sha256, size=self.size, parts=tuple(self.parts))
            self.digests.set_result(made)
        return part

    def send(self, s3: S3, part: Part) -> None:
        with self.creating:
            if not self.number:
                # Tags and storage class are for what has its name.
                self.number = created(s3, self.item.place, s3.encrypted)
        etag = send(s3, self.item, self.number, part, self.source)
        with self.lock:
            self.etags[part.number] = etag
            self.lock.notify_all()

    def stop(self, error: BaseException | None = None) -> None:
        """Let no more go, because it failed, or is of no use any more."""
        with self.lock:
            self.source.stopped.set()
            self.failure = self.failure or error
            self.lock.notify_all()

    def complete(self, s3: S3, digests: Digests, meter: Meter) -> str | None:
        """End the upload when all has gone; the version that S3 gives it, if any.

        Raise what has failed on the way, or `StoppedError` where it was found to be there.
        """
        from botocore.exceptions import ClientError

        with self.lock:
            self._meter = meter
            meter.expect(digests.size - self.sent)
            self.lock.wait_for(
                lambda: self.source.stopped.is_set() or len(self.etags) == len(digests.parts)
            )
            if self.source.stopped.is_set():
                raise self.failure or StoppedError
        version = None
        try:
            version = self._end(s3, digests)
        except ClientError as error:  # an answer may be lost after the work was done
            if code_of(error) != GONE or s3.find(self.item.place) is None:
                raise
        self.number = ""
        return version

    def _end(self, s3: S3, digests: Digests) -> str | None:
        said = s3.client.complete_multipart_upload(
            **s3.address(self.item.place),
            UploadId=self.number,
            MultipartUpload={"Parts": completed_parts(digests.parts, self.etags)},
            MpuObjectSize=digests.size,
        )
        version = said.get("VersionId")
        return None if version in {None, "null"} else str(version)

    def _moved(self, size: int) -> None:
        with self.lock:
            self.sent += size
            if self._meter:
                self._meter.moved(size)


class Arrivals:
    """All of a pack. `store` is where they go, once that is known; `folder` the place of all."""

    def __init__(self, store: Future[S3], folder: Place) -> None:
        self.begun: list[Arrival] = []
        self._store = store
        self._folder = folder
        self._written: queue.SimpleQueue[tuple[Arrival, int] | None] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[tuple[Arrival, Part] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def witness(self, file: BinaryIO, earlier: tuple[Path, Written] | None) -> Arrival:
        """As `Witnessing`. Raise what is known to be wrong with the store by now."""
        if self._store.done():
            self._store.result()
        place = self._folder / ARRIVING / secrets.token_hex(8)
        item = Item(place=place, source=b"", digests=_UNKNOWN, content_type="application/gzip")
        arrival = Arrival(
            item=item, file=os.dup(file.fileno()), begin=self._begin, look=self._look_again
        )
        with self._lock:
            self.begun.append(arrival)
        if earlier is None or earlier[1].size <= SMALLEST_PART:
            arrival.looked.set()
        else:
            path, was = earlier
            digests = Digests(sha256=was.sha256, size=was.size, parts=())
            self._beside(lambda: self._look(arrival, path.name, lambda: digests))
        return arrival

    def known(self) -> dict[Path, Digests]:
        """Of files that are whole. Waits for those of which the last parts are not digested."""
        known = {}
        for arrival in self.begun:
            with contextlib.suppress(Exception):  # told when it is published
                if arrival.name is not None:
                    known[arrival.name] = arrival.digests.result()
        return known

    def of(self, item: Item) -> Arrival | None:
        """What may become this item: it is whole, and was not given up."""
        found = (a for a in self.begun if a.name == item.source)
        return next((a for a in found if a.failure or not a.source.stopped.is_set()), None)

    @property
    def in_vain(self) -> int:
        """Bytes of what was found to be there only when it was written."""
        return sum(
            a.sent for a in self.begun if a.name and a.source.stopped.is_set() and not a.failure
        )

    def _begin(self, arrival: Arrival, start: int) -> None:
        with self._lock:
            if not self._threads:
                work = (self._digest, *(self._send,) * THREADS)
                self._threads = [threading.Thread(target=one, daemon=True) for one in work]
                for thread in self._threads:
                    thread.start()
        self._written.put((arrival, start))

    def _digest(self) -> None:
        while (job := self._written.get()) is not None:
            arrival, start = job
            if arrival.digests.done():  # it has failed
                continue
            try:
                self._ready.put((arrival, arrival.part(start)))
            except Exception as error:  # noqa: BLE001  # raised when it is published
                arrival.digests.set_exception(error)
                arrival.stop(error)

    def _send(self) -> None:
        while (job := self._ready.get()) is not None:
            arrival, part = job
            try:
                arrival.looked.wait()
                if not arrival.source.stopped.is_set():
                    arrival.send(self._store.result(), part)
            except StoppedError:
                pass
            except BaseException as error:  # noqa: BLE001  # raised when it is published
                arrival.stop(error)

    def _look_again(self, arrival: Arrival) -> None:
        """While it is judged."""
        assert arrival.name is not None  # noqa: S101  # it is whole
        name = arrival.name.name
        self._beside(lambda: self._look(arrival, name, arrival.digests.result))

    def _look(self, arrival: Arrival, name: str, digests: Callable[[], Digests]) -> None:
        """Give it up if it is there."""
        with contextlib.suppress(Exception):  # told when it is published
            stored = self._store.result().find(self._folder / name)
            if stored is not None and is_same(stored, digests()):
                arrival.stop()
        arrival.looked.set()

    def _beside(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        """Give up what was not published."""
        for arrival in self.begun:
            arrival.stop()
            arrival.looked.set()
        for _ in range(THREADS):
            self._ready.put(None)
        self._written.put(None)
        deadline = time.monotonic() + PATIENCE_S
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        for arrival in self.begun:
            if arrival.number:
                abort(self._store.result(), arrival.item.place, arrival.number)
            if not any(thread.is_alive() for thread in self._threads):
                os.close(arrival.file)


@contextlib.contextmanager
def arriving(store: Future[S3], folder: Place) -> Iterator[Arrivals]:
    arrivals = Arrivals(store, folder)
    try:
        yield arrivals
    finally:
        arrivals.close()
