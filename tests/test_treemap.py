"""The page of an inspection: it asks nobody, obeys no name, and says what the tables say."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from packager.errors import ConfigError
from packager.inspection import Inspection
from packager.treemap import page, write_page
from tests.archives import SITE, file
from tests.test_inspection import inspected

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>&amp;\"'.so"


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(text)
    return parser.found


def data(text: str) -> Any:
    found = re.search(r'(?s)<script type="application/json" id="data">(.*?)</script>', text)
    assert found
    return json.loads(found[1])


@pytest.fixture
def inspection(tmp_path: Path) -> Inspection:
    return inspected(
        tmp_path,
        file(f"{SITE}/pandas/core/big.bin", bytes(60_000)),
        file(f"{SITE}/pandas/tests/data.bin", bytes(40_000)),
        file(f"{SITE}/pandas/tests/small.bin", bytes(10)),
        file(f"{SITE}/pandas/tiny.bin", bytes(10)),
        file("share/x", bytes(2000)),
    )


def test_the_same_inspection_gives_the_same_page(inspection: Inspection) -> None:
    assert page(inspection) == page(inspection)


def test_the_page_asks_nobody(inspection: Inspection) -> None:
    text = page(inspection)
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": policy}) in elements(text)
    assert [a for _, a in elements(text) if {"src", "href", "action", "srcset"} & a.keys()] == []
    assert re.findall(r"https?:|@import|url\(|fetch\(|XMLHttp", text) == []


def test_a_name_is_never_obeyed(tmp_path: Path, inspection: Inspection) -> None:
    evil = inspected(
        tmp_path,
        file(EVIL, bytes(90_000)),
        file(f"{SITE}/e-1.dist-info/METADATA", f"Name: {EVIL}\nVersion: <b>$data\n\n"),
    )
    text = page(evil)
    harmless = {tag for tag, _ in elements(page(inspection))}
    assert {tag for tag, _ in elements(text)} == harmless
    assert sum(tag == "script" for tag, _ in elements(text)) == 2
    assert "alert(1)" in json.dumps(data(text))


def test_the_map_has_packages_and_their_directories(inspection: Inspection) -> None:
    name, size, files, packages = data(page(inspection))
    assert (name, size, files) == ("all packages", inspection.unpacked, inspection.files)
    assert [p[0] for p in packages] == ["pandas 2.2.0", "(environment)", "numpy 1.26.4"]
    pandas = packages[0][3]
    assert [(node[0], node[1]) for node in pandas[:2]] == [("core/", 60_000), ("tests/", 40_010)]
    assert [node[0] for node in pandas[1][3]] == ["data.bin", "(smaller ones)"]


def test_no_byte_is_lost_in_the_map(inspection: Inspection) -> None:
    def check(node: Any) -> None:
        if node[3]:
            assert node[1:3] == [sum(n[i] for n in node[3]) for i in (1, 2)], node[0]
        for below in node[3]:
            check(below)

    check(data(page(inspection)))


def test_an_empty_archive_has_a_page(tmp_path: Path) -> None:
    empty = Inspection(subject="x", layers=(), packages=())
    assert data(page(empty)) == ["all packages", 0, 0, []]
    write_page(empty, tmp_path / "new" / "x.html")
    assert (tmp_path / "new" / "x.html").read_text(encoding="utf-8") == page(empty)


def test_a_page_that_has_no_place_is_refused(tmp_path: Path, inspection: Inspection) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        write_page(inspection, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="nothing can be written"):
        write_page(inspection, tmp_path / "file" / "x.html")
