"""What tests with real parts share."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test has a wheel store of its own."""
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(tmp_path / "store"))
