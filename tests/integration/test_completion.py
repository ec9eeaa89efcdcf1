"""Shells complete commands and options."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.tools

BIN = Path(sys.executable).parent
COMPLETE = """
eval "$(packager --show-completion bash)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_packager_completion packager
echo "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("packager", "dep"), "deploy"),
        (("packager", "image", "va"), "validate"),
        (("packager", "conf", "--car"), "--carrier"),
        (("packager", "nothing"), ""),
    ],
)
def test_bash_completes_what_one_has_begun_to_write(
    words: tuple[str, ...], found: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        ["bash", "-c", COMPLETE, "bash", *words],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == (found, "")
