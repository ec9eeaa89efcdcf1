"""The README says what is true: its tables are generated, its commands are run."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from packager.checks.rules import RULES
from packager.emitters.forms import EMITTERS
from packager.errors import EXIT_CODE_MEANINGS
from packager.settings import OPTIONS, TABLES
from tests.faulty import FAULTS, SOUND
from tests.rig import aws

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def settings_table() -> str:
    rows = [
        f"| `{o.name.replace('_', '-')}` | {o.metadata['help']} | {default(o.default)} |"
        for o in OPTIONS
    ]
    rows += ["| `conf` | Spark properties of every job (a table; `--conf KEY=VALUE`). | |"]
    rows += ["| `releases` | Releases that packager does not know (a table). | |"]
    rows += ["| `image` | What custom images have besides the project (a table). | |"]
    rows += ["| `ecr` | How repositories of images are made (a table). | |"]
    rows += ["| `waivers` | Reasons by check (a table; `--waive CODE=REASON`). | |"]
    rows += ["| `application` | What `packager deploy` makes (a table). | |"]
    rows += ["| `run` | What `packager run` asks for on AWS (a table). | |"]
    return "\n".join(["| setting | what it is | default |", "|---|---|---|", *rows])


def default(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{value}`" if value else ""


def checks_table() -> str:
    rows = [f'| <a id="{code.lower()}"></a>{code} | {rule} |' for code, rule in RULES.items()]
    return "\n".join(["| code | what must hold |", "|---|---|", *rows])


def exit_codes_table() -> str:
    rows = [f"| {code.value} | {meaning} |" for code, meaning in EXIT_CODE_MEANINGS.items()]
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


def validators_table() -> str:
    rows = [
        f"| {fault.name} | {fault.theirs} | {', '.join((*fault.found, *fault.warned)) or OURS[fault]} |"
        for fault in (*SOUND, *FAULTS)
    ]
    return "\n".join(["| what is wrong | AWS's validator | packager |", "|---|---|---|", *rows])


OURS = dict.fromkeys(SOUND, "passes") | dict.fromkeys(FAULTS, "refused, exit code 2")

TABLES_OF_README: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "checks": checks_table,
    "exit codes": exit_codes_table,
    "validators": validators_table,
}


@pytest.mark.parametrize("name", TABLES_OF_README)
def test_tables_are_as_generated(name: str, request: pytest.FixtureRequest) -> None:
    text = README.read_text(encoding="utf-8")
    pattern = rf"(?s)(<!-- generated: {name} -->\n).*?(<!-- end -->)"
    assert re.search(pattern, text), f"the README has no place for {name}"
    wanted = re.sub(pattern, lambda m: f"{m[1]}{TABLES_OF_README[name]()}\n{m[2]}", text)
    if request.config.getoption("--update-golden"):
        README.write_text(wanted, encoding="utf-8")
    assert README.read_text(encoding="utf-8") == wanted


def test_every_setting_is_known_to_the_table() -> None:
    assert set(TABLES) == {"conf", "image", "ecr", "releases", "waivers", "run", "application"}


def test_every_form_of_the_configuration_is_in_its_table() -> None:
    text = README.read_text(encoding="utf-8")
    (table,) = re.findall(r"(?s)<!-- forms -->\n(.*?)\n\n", text)
    first = [row.split("|")[1] for row in table.splitlines()[2:]]
    assert set(re.findall(r"`([a-z0-9-]+)`", "".join(first))) == set(EMITTERS)


def test_ci_runs_the_readmes_own_set_up_and_test_commands() -> None:
    text, ci = README.read_text(encoding="utf-8"), (ROOT / ".ci" / "run").read_text()
    commands = [
        line
        for block in re.findall(r"(?s)```sh\n(.*?)```", text)
        for line in block.splitlines()
        if line.startswith((".venv/bin/", "python3 "))
    ]
    assert len(commands) == 3
    for command in commands:
        assert f"\n{command}\n" in ci


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The one that the README publishes to, in an S3 that is moto's."""
    with aws.serve_apis(tmp_path) as cloud:
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        aws.client(cloud, "s3").create_bucket(Bucket="my-bucket")
        yield "my-bucket"


@pytest.mark.network
@pytest.mark.spark
def test_the_tour_works_as_it_is_written(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(tmp_path / "store"))
    assert f"s3://{bucket}/" in README.read_text(encoding="utf-8")
    shutil.copytree(
        ROOT / "sample_app",
        tmp_path / "sample_app",
        ignore=shutil.ignore_patterns("dist", "__pycache__"),
    )
    folder = tmp_path
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(r"(?s)<!-- tested(?:: fails with (\d+))? -->\n```sh\n(.*?)```", text)
    assert len(blocks) + len(in_an_account(text)) == text.count("<!-- tested")
    for code, block in blocks:
        for line in block.splitlines():
            if line.startswith("cd "):
                folder = folder / line.removeprefix("cd ")
                continue
            words = [sys.executable, "-m", *expanded(shlex.split(line), folder)]
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == int(code or 0), f"{line}\n{done.stderr}{done.stdout}"
            assert done.stdout


def in_an_account(text: str) -> list[str]:
    """Blocks of commands that need an account, an engine and images: `integration` runs them."""
    return re.findall(r"(?s)<!-- tested: in an account -->\n```sh\n(.*?)```", text)


def expanded(words: list[str], folder: Path) -> list[str]:
    """As the shell does with `*`."""
    return [
        found
        for word in words
        for found in (
            [str(p.relative_to(folder)) for p in sorted(folder.glob(word))]
            if "*" in word
            else [word]
        )
    ]
