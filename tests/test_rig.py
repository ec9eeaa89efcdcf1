"""The rig's own decisions, without a machine to make them for."""

from pathlib import Path

import pytest

from packager.releases import known_releases
from tests.rig import stand_in
from tests.rig.commands import RigError
from tests.rig.debian import mirror

FORMATS = {
    "sources.list.d/debian.sources": """\
        Types: deb
        # as of some day
        URIs: http://mirror.example/debian
        Suites: bookworm bookworm-updates

        URIs: http://mirror.example/debian-security
        """,
    "sources.list": """\
        # deb cdrom:[Debian]/ bookworm main
        deb [signed-by=/usr/share/keyring.gpg] http://mirror.example/debian bookworm main
        deb http://mirror.example/debian-security bookworm-security main
        """,
}


@pytest.mark.parametrize("name", FORMATS)
def test_packages_come_from_the_machines_own_mirror(tmp_path: Path, name: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / name).write_text(FORMATS[name], encoding="utf-8")
    assert mirror(tmp_path) == "http://mirror.example/debian"


def test_a_machine_without_a_mirror_is_told(tmp_path: Path) -> None:
    with pytest.raises(RigError, match="name no mirror"):
        mirror(tmp_path)


def test_the_stand_in_is_of_the_releases_spark_java_and_python() -> None:
    release = known_releases()[stand_in.RELEASE]
    assert release.spark == stand_in.SPARK
    assert f"openjdk-{release.java}-jre-headless" in stand_in.PACKAGES
    assert f"python{release.python}" in stand_in.PACKAGES


@pytest.mark.parametrize("part", ["PACKAGES", "SPARK", "SUITE"])
def test_the_image_is_another_when_what_it_is_made_of_changes(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    before = stand_in.image()
    monkeypatch.setattr(stand_in, part, "changed")
    assert stand_in.image() != before
