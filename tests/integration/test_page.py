"""The page of `packager inspect --html`, in a real browser."""

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.archives import SITE, file, metadata, tar_gz
from tests.command import Command

pytestmark = [pytest.mark.tools, pytest.mark.browser]

EVIL = "</script><script>document.title='obeyed'</script><img src=x onerror=document.title=1>"
PROBE = """
<script>
const seen = {first: [...document.querySelectorAll("#map > *")].map(e => [e.tagName, e.textContent])};
seen.area = [...document.querySelectorAll("#map > *")]
  .map(e => e.offsetWidth * e.offsetHeight).reduce((a, b) => a + b) / (map.clientWidth * map.clientHeight);
map.querySelector("button").focus();
map.querySelector("button").click();
seen.opened = [...document.querySelectorAll("#map > *")].map(e => e.getAttribute("aria-label"));
seen.trail = path.textContent;
seen.focus = document.activeElement.getAttribute("aria-label");
document.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape"}));
seen.back = document.querySelectorAll("#map > *").length;
seen.title = document.title;
seen.scripts = document.scripts.length;
seen.tags = [...new Set([...document.querySelectorAll("*")].map(e => e.tagName))].sort();
document.documentElement.replaceChildren(
  Object.assign(document.createElement("body"), {textContent: "SEEN" + JSON.stringify(seen) + "END"}));
</script>
"""


@pytest.fixture
def page(packager: Command, tmp_path: Path) -> Path:
    archive = tmp_path / "env.tar.gz"
    entries = (
        file("bin/python3", bytes(10)),
        metadata("fruit"),
        file(f"{SITE}/fruit/apple/big.bin", bytes(300_000)),
        file(f"{SITE}/fruit/pear/small.bin", bytes(100_000)),
        file(EVIL, bytes(200_000)),
        file(f"{SITE}/evil-1.dist-info/METADATA", f"Name: {EVIL}\nVersion: {EVIL}\n\n"),
    )
    archive.write_bytes(tar_gz(entries))
    got = packager("inspect", archive, "--html", "page.html", cwd=tmp_path)
    assert (got.code, got.out, got.err) == (0, "", "Wrote page.html\n")
    return tmp_path / "page.html"


def seen(page: Path, *, dark: bool = False) -> Any:
    """What a script that runs after the page's own sees of it."""
    probed = page.with_name("probed.html")
    probed.write_text(
        page.read_text(encoding="utf-8").replace("</body>", f"{PROBE}</body>"), encoding="utf-8"
    )
    done = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",  # it refuses to be root otherwise, as CI is
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            f"--user-data-dir={page.parent / 'profile'}",
            "--window-size=1200,900",
            *(["--blink-settings=preferredColorScheme=0"] if dark else []),
            "--dump-dom",
            probed.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = re.search(r"SEEN(\{.*\})END", done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("dark", [False, True])
def test_the_map_opens_by_a_click_and_closes_by_a_key(page: Path, dark: bool) -> None:
    got = seen(page, dark=dark)
    assert [tag for tag, _ in got["first"]] == ["BUTTON"] * 3
    assert got["first"][0][1] == "fruit 1.00.4 MBapple/pear/"
    assert got["area"] == pytest.approx(1, abs=0.01)
    assert got["opened"] == [
        "apple/, 0.3 MB, 1 file",
        "pear/, 0.1 MB, 1 file",
        "(smaller ones), 88 B, 1 file",
    ]
    assert got["trail"] == "all packages/fruit 1.00.4 MB · 3 files · 66.6 % of all"
    assert got["focus"] == got["opened"][0]
    assert got["back"] == 3


def test_no_name_of_an_archive_is_obeyed(page: Path) -> None:
    got = seen(page)
    assert got["title"] == "env.tar.gz"
    assert got["scripts"] == 3  # data, the page's own, and the probe
    assert "IMG" not in got["tags"]
    assert any("<img src=x" in text for _, text in got["first"])
