"""Messages that jobs fail with are known, and are explained with what the record knows."""

import pytest

from packager.jobs.failures import UNKNOWN, Rule, explain, facts_of, known_failures
from packager.releases import find_release, known_releases
from tests.test_record import RECORD

RELEASE = find_release("emr-7.13.0", known_releases())
BARE = facts_of(None, None, "")


@pytest.mark.parametrize("rule", known_failures(), ids=lambda rule: rule.id)
def test_every_known_message_is_recognised_first_of_all(rule: Rule) -> None:
    facts = {"release": "R", "glibc": "G", "arch": "A", "packed": "P", "environment": "E"}
    found = explain(["some line", rule.example, "another"], facts)
    assert found[0].rule == rule.id
    assert found[0].line == rule.example
    assert UNKNOWN not in found[0].why + found[0].fix
    assert "{" not in found[0].why + found[0].fix
    assert rule.source


def test_what_is_not_known_is_not_explained() -> None:
    assert explain(["ValueError: no", "  at org.apache.spark.Some(Some.scala:1)"], BARE) == ()


def test_the_root_goes_before_what_follows_from_it() -> None:
    lines = [
        "Reason: Command exited with code 137",
        "ModuleNotFoundError: No module named 'pandas'",
    ]
    assert [e.rule for e in explain(lines, BARE)] == ["module", "memory"]


def test_a_message_that_comes_often_is_explained_once() -> None:
    assert len(explain(["No space left on device"] * 3, BARE)) == 1


def test_the_c_library_of_the_release_is_named() -> None:
    (found,) = explain(
        ["ImportError: /lib64/libc.so.6: version `GLIBC_2.38' not found"],
        facts_of(None, RELEASE, ""),
    )
    assert found.why.endswith("it needs GLIBC_2.38, and emr-7.13.0 has GLIBC 2.34")


def test_a_module_that_is_packed_is_told_from_one_that_is_not() -> None:
    record = RECORD
    wheel = record.wheels[0].name
    facts = facts_of(record, RELEASE, "")
    (packed,) = explain([f"ModuleNotFoundError: No module named '{wheel}.part'"], facts)
    (other,) = explain(["ModuleNotFoundError: No module named 'elsewhere'"], facts)
    assert f"{wheel} {record.wheels[0].version} is packed" in packed.why
    assert other.why.endswith("No wheel of that name was packed.")


def test_whether_the_run_unpacks_the_environment_is_told() -> None:
    record = RECORD
    environment = record.artifact("environment")
    assert environment
    line = 'Cannot run program "./environment/bin/python": error=2, No such file'
    for conf, said in (("", "does not unpack"), (environment.file, "does unpack")):
        (found,) = explain([line], facts_of(record, RELEASE, conf))
        assert found.why.endswith(f"The run {said} {environment.file}.")
