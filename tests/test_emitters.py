"""The forms a job's configuration is written in, and the limits of each."""

import contextlib
import json
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.awsmodel import request_problems, shape_problems
from packager.emitters.forms import ELSEWHERE, EMITTERS, JOBS, STACKS, emitter
from packager.emitters.parameters import moved_note
from packager.errors import ConfigError
from packager.jobs.request import run_fields, run_options
from packager.jobs.wanted import wanted_application
from packager.policies.job import runtime_role
from packager.policies.scope import HERE, Artifact, Bucket, Scope
from packager.releases import limits
from packager.sparkconf import (
    PYTHON,
    PYTHON_KEYS,
    Job,
    SparkConf,
    conf_for_archives,
    conf_for_image,
)
from tests.awsmodels import service_model
from tests.conftest import Golden
from tests.forms import APPLICATION, RUN, camel, read_back, request_in

LAW = settings(max_examples=40, deadline=None)

ARCHIVES = (
    ("environment", "s3://bucket/jobs/report-environment-py311-arm64-0123456789ab.tar.gz"),
    ("app", "s3://bucket/jobs/report-app-ba9876543210.tar.gz"),
)
JOB = Job(
    conf=conf_for_archives(
        ARCHIVES, {"spark.executor.cores": "2", "spark.hadoop.fs.s3a.endpoint": "a:b=c"}
    ),
    entry_point="s3://bucket/jobs/main-00112233.py",
    arguments=("--day", "2026-01-31", "größer als, 'drei'"),
    name="report",
    release="emr-7.13.0",
    architecture="ARM64",
    limits=limits(),
)
SCHEDULED = {"scheduler"}
"""Forms that need a schedule."""


def job(*entries: tuple[str, str]) -> Job:
    return replace(JOB, conf=SparkConf(entries=entries))


def emitted(name: str, of: Job) -> str:
    """With what the form needs."""
    return emitter(name)(replace(of, schedule="rate(1 hour)") if name in SCHEDULED else of)


def refused(name: str, of: Job) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        emitter(name)(of)
    return caught.value


@pytest.mark.parametrize("name", EMITTERS)
def test_every_form_as_it_is_printed(name: str, golden: Golden) -> None:
    golden.check(f"conf-{name}.txt", emitted(name, JOB) + "\n")


def test_an_unknown_form_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        emitter("spark-sumbit")
    assert caught.value.fix == "did you mean 'spark-submit'?"
    with pytest.raises(ConfigError) as caught:
        emitter("xml")
    assert caught.value.why == f"known: {', '.join(EMITTERS)}"


# Any text.

AWKWARD = ["a b", "a\tb", "a\nb", "it's", 'say "x"', "back\\slash", ""]
WORDS_ONLY = ["spark-submit", "env", "github-output"]
"""Forms of properties that only hold what survives sparkSubmitParameters."""
ANY_TEXT = [name for name in EMITTERS if name not in WORDS_ONLY]


@pytest.mark.parametrize("value", AWKWARD)
@pytest.mark.parametrize("name", WORDS_ONLY)
def test_what_emr_might_split_is_refused_in_spark_submit_parameters(name: str, value: str) -> None:
    error = refused(name, job(("spark.x", value)))
    assert error.what == f"spark.x can not be written in sparkSubmitParameters: {value!r}"
    assert "start-job-run" in error.fix


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in ANY_TEXT for value in AWKWARD if value or name != "emr-eks"],
)
def test_and_written_everywhere_else(name: str, value: str) -> None:
    found = read_back(name, emitted(name, job(("spark.x", value), ("spark.y", "1"))))
    assert found.entries == {"spark.x": value, "spark.y": "1"}


def test_only_what_can_not_stand_in_spark_submit_parameters_goes_to_a_classification() -> None:
    request = json.loads(emitter("start-job-run")(job(("spark.x", "a b"), ("spark.y", "1"))))
    assert request["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"] == "--conf spark.y=1"
    (one,) = request["configurationOverrides"]["applicationConfiguration"]
    assert one == {"classification": "spark-defaults", "properties": {"spark.x": "a b"}}


@pytest.mark.parametrize("name", STACKS)
def test_a_classification_repeats_what_it_would_replace_of_the_application(name: str) -> None:
    of = replace(job(("spark.x", "a b")), replaced={"spark.y": "1", "spark.x": "theirs"})
    (configuration,) = request_in(name, emitted(name, of))["configurationOverrides"][
        "applicationConfiguration"
    ]
    assert configuration["properties"] == {"spark.y": "1", "spark.x": "a b"}
    assert "written into it" in moved_note(of)
    assert "configurationOverrides" not in request_in(
        name, emitted(name, replace(job(("spark.x", "1")), replaced={"spark.y": "1"}))
    )


def test_what_moves_to_a_classification_is_told() -> None:
    assert "spark.x: can not be written" in moved_note(job(("spark.x", "a b"), ("spark.y", "1")))
    assert not moved_note(JOB)


KEYS = st.from_regex(r"spark\.[A-Za-z0-9_.\-$/:]+", fullmatch=True).filter(
    lambda key: not key.endswith(".$") and not key.startswith("spark.emr-serverless.")
)
TEXTS = st.text(max_size=30) | st.text("{}%#$'\"\\\r\n ab=", max_size=12)


@LAW
@given(
    entries=st.dictionaries(KEYS, TEXTS, max_size=5),
    arguments=st.lists(TEXTS, max_size=3),
    title=TEXTS,
    name=st.sampled_from(ANY_TEXT),
)
def test_every_form_reads_back_to_what_was_written(
    entries: dict[str, str], arguments: list[str], title: str, name: str
) -> None:
    at_an_end = any(v and min(v[0], v[-1]) <= " " for v in entries.values())
    made = replace(job(*entries.items()), arguments=tuple(arguments), name=title)
    if name == "emr-eks" and "" in entries.values():
        assert refused(name, made).fix == "leave the property out"
        return
    if name == "spark-defaults" and at_an_end:
        assert refused(name, made).why.startswith("Spark trims")
        return
    changed = not unicodedata.is_normalized(
        "NFC", "\n".join([*entries.values(), *arguments, title])
    )
    if name == "terraform" and changed:
        with contextlib.suppress(ConfigError):  # where parts alone are normal
            emitted(name, made)
        return
    found = read_back(name, emitted(name, made))
    assert found.entries == entries
    if name in JOBS:
        assert found.arguments == arguments
        assert found.entry_point == JOB.entry_point
    if name in {
        "start-job-run",
        "shell",
        "airflow",
        "step-functions",
        "scheduler",
        "terraform",
        "emr-ec2",
    }:
        assert found.name == title


def test_terraform_would_change_a_text_that_is_not_normal() -> None:
    error = refused("terraform", job(("spark.x", "e\u0301 x")))
    assert error.fix == "write 'é x'"


WORDS = st.text(
    st.characters(exclude_characters="'\"\\", exclude_categories=("Z", "C")), min_size=1
)


@LAW
@given(
    entries=st.dictionaries(KEYS, WORDS, max_size=5),
    name=st.sampled_from([*WORDS_ONLY, "start-job-run"]),
)
def test_spark_submit_parameters_split_at_blanks_into_what_was_written(
    entries: dict[str, str], name: str
) -> None:
    assert read_back(name, emitter(name)(job(*entries.items()))).entries == entries


@LAW
@given(
    title=TEXTS,
    arguments=st.lists(TEXTS, max_size=3),
    name=st.sampled_from(["env", "github-output"]),
)
def test_outputs_of_ci_hold_names_and_arguments_of_any_text(
    title: str, arguments: list[str], name: str
) -> None:
    text = emitter(name)(replace(JOB, name=title, arguments=tuple(arguments)))
    found = read_back(name, text)
    assert (found.name, found.arguments) == (title, arguments)


@pytest.mark.parametrize("value", ["=a", ":a", "= a", "a=b:c", "#a", "!a", "\\u0041", "a\\"])
def test_a_properties_file_keeps_values_that_look_like_its_syntax(value: str) -> None:
    text = emitter("spark-defaults")(job(("spark.a:b", value), ("spark.c", "d")))
    assert read_back("spark-defaults", text).entries == {"spark.a:b": value, "spark.c": "d"}


# The requests, by the models of the services.


def request_of(name: str, of: Job) -> dict[str, Any]:
    """What a form sends, with what it leaves room for."""
    known = replace(of, application="00abc", role=ROLE, schedule="rate(1 hour)")
    text = emitter(name)(known if name == "scheduler" else replace(known, schedule=None))
    for room, value in {
        "virtual cluster ID": "abc",
        "cluster ID": "j-1",
        "ARN of the role that may start the job and pass the job's role": ROLE,
    }.items():
        text = text.replace(f"<{room}>", value)
    return dict(json.loads(text))


ROLE = "arn:aws:iam::123456789012:role/job"
OPERATIONS = {
    "start-job-run": ("emr-serverless", "StartJobRun"),
    "scheduler": ("scheduler", "CreateSchedule"),
    "emr-eks": ("emr-containers", "StartJobRun"),
    "emr-ec2": ("emr", "AddJobFlowSteps"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_request_is_one_that_its_service_takes(name: str) -> None:
    service, operation = OPERATIONS[name]
    odd = replace(job(("spark.x", "a b"), ("spark.y", "c\nd")), name="ein größerer\tName" * 9)
    for of in (JOB, odd):
        assert request_problems(service_model(service), operation, request_of(name, of)) == ()


@pytest.mark.parametrize("name", ["step-functions", "scheduler"])
def test_what_starts_a_job_for_others_hands_over_a_request_that_emr_takes(name: str) -> None:
    known = replace(JOB, application="00abc", role=ROLE)
    text = emitted(name, known)
    found = (
        json.loads(json.loads(text)["Target"]["Input"])
        if name == "scheduler"
        else json.loads(text)["States"]["Run"]["Parameters"]
    )
    found.pop("ClientToken", None)
    assert camel(found) == json.loads(emitter("start-job-run")(known))


STARTING = tuple(name for name in JOBS if name not in ELSEWHERE)
"""Forms that start a job on EMR Serverless."""


def as_settings_say(**table: object) -> Job:
    return replace(JOB, run_fields=run_fields(run_options(table, {}), JOB.release))


@pytest.mark.parametrize("name", STARTING)
def test_what_starts_a_job_has_what_the_settings_say_of_runs(name: str, golden: Golden) -> None:
    of = replace(as_settings_say(**RUN), application="00abc", role=ROLE)
    text = emitted(name, of)
    golden.check(f"run-{name}.txt", text + "\n")
    request = request_in(name, text)
    known = {"applicationId": "00abc", "executionRoleArn": ROLE, "clientToken": "t"}
    request |= known  # which forms leave to references, or to variables
    assert request_problems(service_model("emr-serverless"), "StartJobRun", request) == ()
    own = {k: v for k, v in request.items() if k not in {*known, "jobDriver"}}
    assert own == dict(of.run_fields)


@pytest.mark.parametrize("name", STARTING)
def test_settings_of_runs_and_properties_that_do_not_fit_share_the_overrides(name: str) -> None:
    of = replace(job(("spark.x", "a b")), run_fields=run_fields(run_options(RUN, {}), JOB.release))
    overrides = request_in(name, emitted(name, of))["configurationOverrides"]
    assert set(overrides) == {
        "applicationConfiguration",
        "monitoringConfiguration",
        "diskEncryptionConfiguration",
    }


def test_retries_of_the_job_take_the_place_of_those_of_the_state_machine() -> None:
    def run(of: Job) -> Any:
        return json.loads(emitter("step-functions")(of))["States"]["Run"]

    assert run(as_settings_say(tags={"a": "b"}))["Retry"] == run(JOB)["Retry"]
    assert "Retry" not in run(as_settings_say(**{"max-attempts": 3}))


@pytest.mark.parametrize(
    ("table", "minutes"),
    [
        ({}, 720),
        ({"timeout-minutes": 7}, 7),
        ({"timeout-minutes": 1500}, 1500),
        ({"mode": "streaming"}, 365 * 24 * 60),
    ],
)
def test_airflow_is_as_patient_as_emr(table: dict[str, object], minutes: int) -> None:
    text = emitter("airflow")(as_settings_say(**table))
    assert f"waiter_delay=30,\n    waiter_max_attempts={minutes * 2},\n" in text


@pytest.mark.parametrize("name", STACKS)
def test_a_state_machine_may_tag_what_it_starts_with_tags(name: str) -> None:
    assert "emr-serverless:TagResource" in emitted(name, as_settings_say(tags={"a": "b"}))
    assert "emr-serverless:TagResource" not in emitted(name, JOB)


def test_the_name_of_a_run_has_256_characters_too() -> None:
    error = refused("start-job-run", as_settings_say(name="n" * 257))
    assert "257 characters" in error.what


def test_an_application_configuration_is_one_that_emr_takes() -> None:
    found = json.loads(emitter("spark-defaults-json")(JOB))
    model = service_model("emr-serverless")
    assert shape_problems(model, "ConfigurationOverrides", found) == ()


# Other EMRs.


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("emr-eks", "spark.kubernetes.driverEnv."), ("emr-ec2", "spark.yarn.appMasterEnv.")],
)
def test_the_drivers_environment_is_where_the_other_service_reads_it(
    name: str, prefix: str
) -> None:
    found = read_back(name, emitter(name)(JOB)).entries
    assert found[f"{prefix}PYSPARK_PYTHON"] == PYTHON
    assert found[f"{prefix}PYSPARK_DRIVER_PYTHON"] == PYTHON
    assert found["spark.executorEnv.PYSPARK_PYTHON"] == PYTHON
    assert found["spark.archives"] == dict(JOB.conf.entries)["spark.archives"]
    assert not any(key.startswith("spark.emr-serverless.") for key in found)


@pytest.mark.parametrize("name", ["emr-eks", "emr-ec2"])
def test_what_only_emr_serverless_reads_is_refused_elsewhere(name: str) -> None:
    error = refused(name, job(("spark.emr-serverless.driver.disk", "100G")))
    assert "spark.emr-serverless.driver.disk means nothing to EMR on E" in error.what
    assert "custom image" in refused(name, replace(JOB, images="x")).what


def test_one_property_under_two_names_is_a_conflict_elsewhere() -> None:
    twice = job(("spark.emr-serverless.driverEnv.A", "1"), ("spark.kubernetes.driverEnv.A", "2"))
    assert refused("emr-eks", twice).what == (
        "spark.kubernetes.driverEnv.A is set twice: '1' and '2'"
    )


def test_emr_on_eks_takes_no_empty_values_and_shorter_locations() -> None:
    assert "spark.x has an empty value" in refused("emr-eks", job(("spark.x", ""))).what
    emitter("emr-eks")(replace(JOB, entry_point="s" * 256))
    error = refused("emr-eks", replace(JOB, entry_point="s" * 257))
    assert error.why == "the API takes 256"


# Images.

IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/report@sha256:" + "0" * 64
OTHER = IMAGE.replace("0" * 64, "1" * 64)
IN_IMAGE = replace(JOB, conf=conf_for_image({"spark.executor.cores": "2"}), images=IMAGE)
BY_WORKER = replace(IN_IMAGE, images={"driver": IMAGE, "executor": OTHER})


@pytest.mark.parametrize("name", [name for name in EMITTERS if name not in ELSEWHERE])
def test_every_form_takes_the_environment_of_an_image(name: str) -> None:
    text = emitted(name, IN_IMAGE)
    assert read_back(name, text).entries == {
        **dict.fromkeys(PYTHON_KEYS, "/opt/packager/environment/bin/python"),
        "spark.executor.cores": "2",
    }
    assert (IMAGE in text) == (name in {*STACKS, "env", "github-output"})


@pytest.mark.parametrize("name", ["cloudformation", "cdk"])
def test_driver_and_executors_have_an_image_each(name: str, golden: Golden) -> None:
    golden.check(f"images-{name}.txt", emitted(name, BY_WORKER) + "\n")


def test_outputs_of_ci_name_the_image_of_each_worker() -> None:
    lines = emitter("github-output")(BY_WORKER).splitlines()
    assert lines[-2:] == [f"driver-image={IMAGE}", f"executor-image={OTHER}"]


def test_terraform_has_no_place_for_an_image_of_each_worker() -> None:
    assert "--format cloudformation" in refused("terraform", BY_WORKER).fix


# Schedules, roles, and what a form can not hold.


@pytest.mark.parametrize("name", ["terraform", "cloudformation", "cdk"])
def test_a_schedule_and_a_role_of_its_own_are_added_where_forms_can_make_them(name: str) -> None:
    own = replace(
        JOB,
        schedule="cron(0 6 * * ? *)",
        statements=({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},),
    )
    text = emitter(name)(own)
    assert "cron(0 6 * * ? *)" in text
    assert "s3:GetObject" in text
    plain = emitter(name)(JOB)
    assert "cron" not in plain
    assert "scheduler" not in plain.lower()


PLACED = Scope(
    region=HERE["region"],
    account=HERE["account"],
    s3=Bucket(name="bucket", prefix='jobs/${x}{{y}}"ö'),
    artifacts=(Artifact(file="report-app-0123.zip", digest="0123"),),
    databases=("sales",),
)


@pytest.mark.parametrize("name", STACKS)
def test_a_role_of_its_own_is_written_for_wherever_it_is_deployed(
    name: str, golden: Golden
) -> None:
    document = runtime_role(PLACED).to_json()
    text = emitter(name)(replace(JOB, statements=tuple(document["Statement"])))
    assert "\0" not in text
    golden.check(f"own-role-{name}.txt", text + "\n")


def settled(**more: object) -> Job:
    """A job whose application is as settings say."""
    fields = wanted_application(
        {**APPLICATION, **more},
        name="report",
        release=JOB.release,
        architecture="ARM64",
        images=None,
    )
    return replace(JOB, application_fields=fields)


@pytest.mark.parametrize("name", STACKS)
def test_an_application_is_made_as_the_settings_say(name: str, golden: Golden) -> None:
    golden.check(f"application-{name}.txt", emitter(name)(settled()) + "\n")


@pytest.mark.parametrize(
    ("name", "more", "lacking"),
    [
        ("terraform", {"sessions": True}, "interactiveConfiguration.sessionEnabled"),
        (
            "terraform",
            {
                "initial-capacity": {
                    "driver": {
                        "workers": 1,
                        "cpu": "4 vCPU",
                        "memory": "16 GB",
                        "disk-type": "standard",
                    }
                }
            },
            "initialCapacity.DRIVER.workerConfiguration.diskType",
        ),
        (
            "cloudformation",
            {"disk-key": "arn:aws:kms:us-east-1:123456789012:key/0a1b"},
            "diskEncryptionConfiguration",
        ),
        (
            "cdk",
            {"api": {"jobLevelCostAllocationConfiguration": {"enabled": True}}},
            "jobLevelCostAllocationConfiguration",
        ),
        (
            "cloudformation",
            {"api": {"runtimeConfiguration": [{"classification": "a", "comment": "b"}]}},
            "runtimeConfiguration.comment",
        ),
    ],
)
def test_what_a_form_has_no_place_for_is_named(
    name: str, more: dict[str, object], lacking: str
) -> None:
    error = refused(name, settled(**more))
    assert error.what.startswith(f"{lacking} of the application can not be written for ")
    assert "packager deploy" in error.fix


@pytest.mark.parametrize("name", ["cloudformation", "cdk"])
def test_what_cloudformation_would_put_its_own_values_into_is_refused(name: str) -> None:
    error = refused(name, settled(tags={"team": "{{resolve:ssm:x}}"}))
    assert "{{resolve:" in error.what


def test_names_of_users_stay_as_they_are_in_a_template() -> None:
    nested = {
        "classification": "spark-env",
        "configurations": [{"classification": "export", "properties": {"lowerCase": "x"}}],
    }
    made = settled(tags={"team": "data"}, api={"runtimeConfiguration": [nested]})
    properties = json.loads(emitter("cloudformation")(made))["Resources"]["Application"][
        "Properties"
    ]
    assert properties["Tags"] == [{"Key": "team", "Value": "data"}]
    assert properties["RuntimeConfiguration"] == [
        {
            "Classification": "spark-env",
            "Configurations": [{"Classification": "export", "Properties": {"lowerCase": "x"}}],
        }
    ]


def test_a_schedule_is_asked_for_and_refused_where_there_is_no_room_for_it() -> None:
    assert refused("scheduler", JOB).what == "no schedule is given"
    error = refused("step-functions", replace(JOB, schedule="rate(1 day)"))
    assert "scheduler" in error.fix


@pytest.mark.parametrize("name", ["cloudformation", "cdk"])
def test_what_cloudformation_would_resolve_is_refused(name: str) -> None:
    resolved = replace(JOB, arguments=("{{resolve:ssm:/x}}",))
    assert refused(name, resolved).what.startswith("`{{resolve:`")


def test_what_the_scheduler_would_replace_is_refused() -> None:
    job = replace(JOB, arguments=("<aws.scheduler.execution-id>",), schedule="rate(1 day)")
    assert refused("scheduler", job).what.startswith("`<aws.scheduler.`")


def test_a_key_that_step_functions_takes_for_a_path_is_refused() -> None:
    assert "spark.x.$" in refused("step-functions", job(("spark.x.$", "a b"))).what
    tagged = replace(JOB, run_fields={"tags": {"team.$": "$.x"}})
    assert "team.$" in refused("step-functions", tagged).what
    # In the middle of a text it is none.
    assert "spark.x.$=1" in emitter("step-functions")(job(("spark.x.$", "1")))


@pytest.mark.parametrize("name", JOBS)
def test_a_whole_job_needs_an_entry_point(name: str) -> None:
    of = replace(JOB, entry_point=None, schedule="rate(1 day)" if name in SCHEDULED else None)
    assert refused(name, of).what == "no entry point is known"


# The limits.


def filled(chars: int) -> Job:
    """A job whose sparkSubmitParameters have that many characters."""
    key = "spark.x"
    return job((key, "v" * (chars - len(f"--conf {key}="))))


@pytest.mark.parametrize("name", ["spark-submit", "start-job-run"])
def test_spark_submit_parameters_end_at_102400_characters(name: str) -> None:
    emitter(name)(filled(102_400))
    error = refused(name, filled(102_401))
    assert error.what == "sparkSubmitParameters are 102401 characters long"
    assert error.why == "the API takes 102400"


def test_a_classification_has_100_properties() -> None:
    entries = tuple((f"spark.x{n}", "1") for n in range(101))
    emitter("spark-defaults-json")(job(*entries[:100]))
    assert refused("spark-defaults-json", job(*entries)).what == (
        "101 properties in one classification"
    )


def test_a_property_of_a_classification_has_1024_characters() -> None:
    emitter("spark-defaults-json")(job(("spark.x", "v" * 1024)))
    error = refused("spark-defaults-json", job(("spark.x", "v" * 1025)))
    assert error.what == "the value of spark.x is 1025 characters long"


def test_a_property_of_a_classification_has_a_name_of_1024_characters() -> None:
    name = "spark." + "x" * 1018
    emitter("spark-defaults-json")(job((name, "1")))
    assert "1025 characters" in refused("spark-defaults-json", job((f"{name}x", "1"))).what


def test_an_entry_point_has_4096_characters() -> None:
    emitter("start-job-run")(replace(JOB, entry_point="s" * 4096))
    error = refused("start-job-run", replace(JOB, entry_point="s" * 4097))
    assert error.what == "the entry point's location is 4097 characters long"


def test_a_job_has_1024_arguments() -> None:
    emitter("start-job-run")(replace(JOB, arguments=("",) * 1024))
    assert refused("start-job-run", replace(JOB, arguments=("",) * 1025)).what == "1025 arguments"


def test_a_job_has_a_name_of_256_characters() -> None:
    emitter("start-job-run")(replace(JOB, name="n" * 256))
    assert "257 characters" in refused("start-job-run", replace(JOB, name="n" * 257)).what


def test_of_several_entry_points_one_has_to_be_chosen() -> None:
    error = refused("start-job-run", replace(JOB, entry_point=None, choices=("a.py", "b:c")))
    assert error.what == "2 entry points are packed, and none is chosen"
    assert error.why == "there are a.py, b:c"
    assert error.fix == "choose one: --entry-point a.py"
    assert emitter("spark-submit")(replace(JOB, entry_point=None, choices=("a.py", "b:c")))


def test_no_arguments_are_left_out_of_a_job_run() -> None:
    document = json.loads(emitter("start-job-run")(replace(JOB, arguments=())))
    assert list(document["jobDriver"]["sparkSubmit"]) == ["entryPoint", "sparkSubmitParameters"]
