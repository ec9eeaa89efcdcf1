"""What of all that was published may go: never what something that stays names."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.publishing.places import Place, parse_place
from packager.publishing.versions import (
    Pruning,
    StoredImage,
    StoredObject,
    Version,
    named_by,
    named_in,
    plan_pruning,
    spared,
)
from tests.test_record import RECORD

PLACE = parse_place("s3://jobs/a")
REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/jobs"
OLD, NEW = 1.0, 100.0


def stored(name: str, modified: float = OLD, place: Place = PLACE) -> StoredObject:
    return StoredObject(place=place / name, size=10, modified=modified)


def archive(number: int) -> str:
    return f"environment-py311-amd64-{number:012x}.tar.gz"


def version(number: int, modified: float, *archives: int, arch: str = "amd64") -> Version:
    record = replace(
        RECORD,
        arch=arch,
        locations={archive(n): (PLACE / archive(n)).uri for n in archives},
        images=(),
    )
    return Version(
        stored=stored(f"{record.name.split('.packager')[0]}-{number:012x}.packager.json", modified),
        record=record,
    )


def planned(
    versions: list[Version],
    *archives: int,
    used: Mapping[str, str] | None = None,
    keep: int | None = 1,
    images: tuple[StoredImage, ...] = (),
    before: float = 50.0,
) -> Pruning:
    objects = [stored(archive(n)) for n in archives] + [v.stored for v in versions]
    return plan_pruning(objects, versions, images, used=used or {}, keep=keep, before=before)


def names(pruning: Pruning) -> list[int]:
    return sorted(int(o.place.name[-19:-7], 16) for o in pruning.objects)


def test_what_only_old_versions_name_goes_with_them() -> None:
    found = planned([version(1, 1, 10, 11), version(2, 2, 11, 12)], 10, 11, 12, 13)
    assert [j.why for j in found.versions] == ["the newest", ""]
    assert [r.place.name[-26:-14] for r in found.records] == [f"{1:012x}"]
    assert names(found) == [10, 13]
    assert found.size == 30


def test_without_a_number_only_what_nothing_names_goes() -> None:
    found = planned([version(1, 1, 10), version(2, 2, 11)], 10, 11, 12, keep=None)
    assert (found.records, names(found)) == ((), [12])


def test_each_architecture_has_a_line_of_its_own() -> None:
    found = planned([version(1, 1, 10), version(2, 2, 11, arch="arm64")], 10, 11)
    assert found.nothing


def test_what_is_young_stays_whoever_names_it() -> None:
    young = [version(1, 60, 10), version(2, 70, 11)]
    assert [j.why for j in planned(young, 10).versions] == ["the newest", "too young"]
    objects = [stored(archive(12), NEW)]
    assert plan_pruning(objects, (), (), used={}, keep=1, before=50).nothing


def test_of_versions_of_the_same_second_none_is_the_older() -> None:
    assert planned([version(1, 2, 10), version(2, 2, 11)], 10, 11).nothing


@pytest.mark.parametrize("of", ["record", "archive"])
def test_what_somebody_uses_stays(of: str) -> None:
    old = version(1, 1, 10)
    name = old.stored.place.uri if of == "record" else (PLACE / archive(10)).uri
    found = planned([old, version(2, 2, 11)], 10, 11, used={name: "the application x"})
    assert names(found) == []
    assert [j.why for j in found.versions][1] == (
        "used by the application x" if of == "record" else ""
    )


def test_what_packager_has_not_made_stays() -> None:
    others = [stored("data.csv"), stored("environment.tar.gz"), stored("abc-12345.tar.gz")]
    assert plan_pruning(others, (), (), used={}, keep=1, before=50).nothing


def image(number: int, *tags: str, pushed: float = OLD) -> StoredImage:
    digest = f"sha256:{number:064x}"
    return StoredImage(repository=REPOSITORY, digest=digest, tags=tags, size=5, pushed=pushed)


def test_images_stay_by_digest_and_by_tag() -> None:
    images = (image(1, "v1"), image(2, "v2"), image(3, "v3"), image(4, pushed=NEW))
    used = {images[0].reference: "a", f"{REPOSITORY}:v2": "b"}
    found = plan_pruning((), (), images, used=used, keep=1, before=50)
    assert found.images == (images[2],)


def test_names_are_found_wherever_aws_tells_them() -> None:
    digest = f"sha256:{1:064x}"
    application = {
        "imageConfiguration": {"imageUri": f"{REPOSITORY}:v1", "resolvedImageDigest": digest},
        "workerTypeSpecifications": {"Driver": {"imageConfiguration": {"imageUri": "x/y:z"}}},
        "runtimeConfiguration": [
            {
                "properties": {
                    "spark.archives": "s3://jobs/a/e.tar.gz#environment,s3://jobs/b.tar.gz"
                }
            }
        ],
        "autoStop": True,
    }
    assert set(named_in(application)) == {
        f"{REPOSITORY}:v1",
        f"{REPOSITORY}@{digest}",
        "s3://jobs/a/e.tar.gz",
        "s3://jobs/b.tar.gz",
    }
    run = {"jobDriver": {"sparkSubmit": {"entryPoint": "s3://jobs/a/main.py"}}}
    assert list(named_in(run)) == ["s3://jobs/a/main.py"]


def test_what_is_named_meanwhile_is_spared() -> None:
    found = planned([version(2, 2, 11)], 10, 12)
    assert names(spared(found, [(PLACE / archive(10)).uri])) == [12]


NUMBERS = st.integers(min_value=0, max_value=9)


@given(
    st.lists(st.tuples(st.integers(1, 99), st.frozensets(NUMBERS, max_size=4)), max_size=6),
    st.frozensets(NUMBERS),
    st.none() | st.integers(1, 3),
)
def test_nothing_goes_that_something_which_stays_names(
    made: list[tuple[int, frozenset[int]]], used: frozenset[int], keep: int | None
) -> None:
    versions = [version(n, modified, *of) for n, (modified, of) in enumerate(made)]
    users = {(PLACE / archive(n)).uri: "who" for n in used}
    found = planned(versions, *range(10), used=users, keep=keep)
    going = {o.place.uri for o in found.objects}
    stay = [j.version for j in found.versions if j.why]
    assert not going & users.keys()
    assert not any(going & named_by(one.record) for one in stay)
    assert going | users.keys() | {n for v in stay for n in v.names} >= {
        (PLACE / archive(n)).uri for n in range(10)
    }
    assert len(found.versions) == len(versions)
    assert len(stay) >= min(keep or len(versions), len(versions))
