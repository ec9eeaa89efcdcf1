"""What `packager pack --explain` tells, from the project's files alone."""

from pathlib import Path
from typing import Any

import pytest

from packager.errors import ConfigError
from packager.explain import explanation
from packager.pipeline import pack
from packager.project import LOCK_COMMANDS, find_project
from packager.selection import is_locked
from packager.settings import resolve
from tests.conftest import Golden
from tests.fakes import world

PYPROJECT = '[project]\nname = "shop"\nversion = "1.0"\n'
HASH = "0" * 64


def explained(root: Path, files: dict[str, str], table: dict[str, Any], **flags: object) -> str:
    root.mkdir(exist_ok=True)
    for name, text in files.items():
        (root / name).write_text(text)
    project = find_project(root, root)
    text = explanation(project, resolve(flags, {}, table, root / "pyproject.toml"))
    return text.replace(str(root), "PROJECT") + "\n"


def test_everything_that_decides_is_told(golden: Golden, tmp_path: Path) -> None:
    files = {
        "pyproject.toml": PYPROJECT + '[build-system]\nrequires = ["hatchling"]\n',
        "uv.lock": "",
        "requirements.txt": "",
        "main.py": "",
    }
    table = {"release": "emr-7.13.0", "entry-point": "main.py", "extras": ["s3"]}
    text = explained(tmp_path, files, table, arch=["all"], groups=["job"])
    golden.check("explain.txt", text)


def test_what_would_stop_the_pack_is_told_in_its_place(golden: Golden, tmp_path: Path) -> None:
    files = {"pyproject.toml": PYPROJECT}
    table = {"python": "3.8", "entry-point": "gone.py", "locked": True}
    golden.check("explain-wrong.txt", explained(tmp_path, files, table))
    text = explained(tmp_path, files, {**table, "release": "emr-7.13.0"})
    program = "../../python/bin/python3.8, which is bundled"
    assert f"emr-7.13.0 amd64, Python 3.8, glibc 2.34, bin/python -> {program}" in text


def test_a_script_and_a_folder_are_explained(tmp_path: Path) -> None:
    (tmp_path / "job.py").touch()
    settings = resolve({"layout": "single"}, {}, {}, None)
    script = explanation(find_project(tmp_path / "job.py", tmp_path), settings)
    assert "none beside the entry point, for it is one file" in script
    assert f"entry point   {tmp_path / 'job.py'}" in script
    assert "ignored" not in script
    folder = explanation(find_project(tmp_path, tmp_path), settings)
    assert "the files of the folder" in folder
    assert "none: there is no lock, no [project] and no setup.py" in folder
    assert "single: the environment and the app in one archive" in folder


# --locked.


@pytest.mark.parametrize(
    ("files", "locked"),
    [
        ({"uv.lock": "", "pyproject.toml": PYPROJECT}, True),
        ({"pylock.toml": ""}, True),
        ({"requirements.txt": f"fruit==1.0 --hash=sha256:{HASH}\n"}, True),
        ({"requirements.txt": "# nothing yet\n"}, True),
        ({"job.py": ""}, True),
        ({"requirements.txt": "fruit==1.0\n"}, False),
        ({"pyproject.toml": PYPROJECT}, False),
        ({"setup.py": ""}, False),
    ],
)
def test_only_what_can_not_change_is_locked(
    tmp_path: Path, files: dict[str, str], locked: bool
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    project = find_project(tmp_path, tmp_path)
    assert is_locked(project) is locked
    if locked:
        return
    fakes = world(tmp_path / "store")
    settings = resolve({"release": "emr-7.13.0", "locked": True}, {}, {}, None)
    with pytest.raises(ConfigError) as caught:
        pack(project, settings, fakes.ports, fakes.said.append)
    assert caught.value.what == f"{project.lock} is not locked, and --locked asks for it"
    assert caught.value.fix == LOCK_COMMANDS[project.lock_kind]
    assert fakes.resolver.compiled == []
