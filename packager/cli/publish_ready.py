"""What `packager publish` is to bring, and where to: read, or packed while it goes up."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from packager.console import Console

if TYPE_CHECKING:
    from packager.adapters.aws.s3 import S3
    from packager.adapters.aws.session import Session
    from packager.project import Project
    from packager.publishing.options import ObjectOptions
    from packager.publishing.places import Place
    from packager.publishing.publication import Prepared
    from packager.publishing.store import ObjectStore
    from packager.recorded import Found
    from packager.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    prepared: "tuple[Prepared, ...]"
    session: "Session"
    store: "ObjectStore"


def read(
    found: "Sequence[Found]", settings: "Settings", options: "ObjectOptions", place: "Place"
) -> "Ready":
    from packager.publishing.publication import prepare

    with ThreadPoolExecutor(1) as beside:  # the SDK takes as long to load as files to be read
        prepared = beside.submit(prepare, found, place, settings)
        from packager.adapters.aws.s3 import open_s3
        from packager.adapters.aws.session import open_session

        session = open_session(settings, os.environ)
        store = open_s3(session, options)
        return Ready(prepared=prepared.result(), session=session, store=store)


@contextlib.contextmanager
def packed_on_the_way(
    project: "Project",
    settings: "Settings",
    console: Console,
    *,
    place: "Place",
    options: "ObjectOptions",
    dry_run: bool,
) -> Iterator[Ready]:
    """What was packed now, and a store that knows what of it has arrived.

    What is not put into that store by the end is given up. A dry run packs, and sends nothing.
    """
    from packager.cli.packing import passed_now

    found = None
    if dry_run:
        found = passed_now(project, settings, console)
    opening = _beside(lambda: _opened(settings, options, place))
    store: Future[S3] = Future()
    opening.add_done_callback(lambda done: _hand_on(done, store))
    from packager.adapters.aws.arrivals import arriving
    from packager.adapters.aws.arrivingstore import ArrivingStore
    from packager.publishing.publication import prepare

    with arriving(store, place) as arrivals:
        if found is None:
            found = passed_now(project, settings, console, witness=arrivals.witness)
        session, s3 = opening.result()
        ready = prepare(found, place, settings, arrivals.known())
        store_ = ArrivingStore(s3=s3, arrivals=arrivals)
        yield Ready(prepared=ready, session=session, store=store_)
        if arrivals.in_vain:
            size = f"{arrivals.in_vain / 1e6:.2f} MB"
            console.say(f"{size} had gone up when it was known that they are there already")
        if arrivals.begun:
            _clear_abandoned(s3, place)


def _opened(settings: "Settings", options: "ObjectOptions", place: "Place") -> "tuple[Session, S3]":
    from packager.adapters.aws.s3 import open_s3
    from packager.adapters.aws.session import open_session
    from packager.publishing.publication import require_bucket

    session = open_session(settings, os.environ)
    s3 = open_s3(session, options)
    require_bucket(s3, place.bucket, session.region)
    return session, s3


def _hand_on(done: "Future[tuple[Session, S3]]", store: "Future[S3]") -> None:
    if error := done.exception():
        store.set_exception(error)
    else:
        store.set_result(done.result()[1])


def _beside(work: Callable[[], T]) -> Future[T]:
    """In a thread that ends with the process: nobody waits for a network that does not answer."""
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return result


def _clear_abandoned(s3: "S3", place: "Place") -> None:
    """What runs left that were killed. Who may not do that leaves it to `packager prune`."""
    from packager.adapters.aws.removals import S3Folder
    from packager.adapters.clock import now
    from packager.errors import PackagerError
    from packager.publishing.pruning import clear_abandoned
    from packager.publishing.versions import DAY_S

    with contextlib.suppress(PackagerError):
        clear_abandoned(place, S3Folder(s3=s3), now() - DAY_S)
