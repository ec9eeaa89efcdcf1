"""Every check against a planted fault of its own, and the report they make."""

import posixpath
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from packager.checks import CHECKS, check_archives
from packager.checks.bundle import Bundle
from packager.checks.known_bad import read_pairs
from packager.checks.rules import require_waivable
from packager.checks.sparkpython import spark_runs
from packager.elf import ELF_MAGIC
from packager.errors import ConfigError
from packager.findings import Report
from packager.releases import Interpreter, known_releases
from packager.target import ARCHES, PROVIDED, Target
from tests.archives import (
    ENVIRONMENT,
    EXTENSION_TAG,
    INTERPRETER,
    RELEASE,
    SITE,
    TARGET,
    Entry,
    app,
    bundle,
    bundled,
    direct_url,
    directory,
    elf,
    environment,
    facts,
    file,
    hardlink,
    metadata,
    symlink,
)


def with_env(*more: Entry, without: Iterable[str] = ()) -> Bundle:
    return bundle(environment(*more, without=without))


def named(name: str) -> Bundle:
    env, app_ = bundle()
    return (replace(env, name=name), app_)


def unpacked(environment_bytes: int, app_bytes: int = 0) -> Bundle:
    env, app_ = bundle()
    return (replace(env, unpacked_bytes=environment_bytes), replace(app_, unpacked_bytes=app_bytes))


KEY = (
    f"-----BEGIN RSA PRIVATE KEY-----\n{'MIIEpAIBAAKCAQEA7bq' * 3}\n-----END RSA PRIVATE KEY-----\n"
)
AWS = f"aws_access_key_id = AKIA{'Q3EGUZ' * 2}ABCD\naws_secret_access_key = {'aB3/' * 10}\n"

NUMPY = f"{SITE}/numpy-1.26.4.dist-info/METADATA"
ALWAYS_WARNINGS = {"ARC012", "ARC015"}

PLANTED: dict[str, tuple[Bundle, ...]] = {
    "ARC001": (
        named("env.zip"),
        named("env.tar"),
        named("env"),
        bundle(app_=[]),
        bundle([replace(e, path=f"venv/{e.path}") for e in ENVIRONMENT]),
        bundle([e for e in ENVIRONMENT if not e.path.startswith("bin/")]),
    ),
    "ARC002": (
        with_env(file("/etc/passwd")),
        with_env(file("share/../../x")),
        with_env(Entry(path="share/pipe", type=b"6")),
        with_env(Entry(path="share/null", type=b"3")),
        bundle((*ENVIRONMENT, file(f"{SITE}/numpy/__init__.py", "other"))),
        with_env(file("share"), file("share/x")),
        with_env(symlink("share/doc", "/usr/share/doc")),
        with_env(symlink("share/doc", "../../doc")),
        with_env(hardlink("share/doc", "nowhere")),
        bundle(app_=app(symlink("bin/python", "/usr/bin/python3.11"))),
    ),
    "ARC003": (
        with_env(file("bin/f2py", "#!/usr/bin/env python3\n", 0o644)),
        with_env(file("bin/f2py", "#!/usr/bin/env python3\n", 0o744)),
        with_env(file("bin/tool", elf(), 0o644)),
        with_env(file(f"{SITE}/secret.py", "", 0o600)),
        with_env(directory(SITE, 0o700)),
        with_env(file("share/su", "", 0o4755)),
        bundle(app_=app(file("bin/jobs", "#!/bin/sh\n"))),
    ),
    "ARC004": (
        with_env(without=["bin/python"]),
        with_env(symlink("bin/python", "python9")),
        with_env(symlink("bin/python3.11", "python3"), symlink("bin/python", "python3.11")),
        with_env(symlink("bin/python", "/opt/hostedtoolcache/Python/3.11.9/x64/bin/python3.11")),
        with_env(symlink("bin/python", "/usr/bin/python3")),
        with_env(symlink("bin/python", "../../usr/bin/python3.11")),
        with_env(without=["pyvenv.cfg"]),
        with_env(file("bin/python", elf(), 0o755), without=["pyvenv.cfg"]),
        with_env(file("bin/python", b"\xca\xfe\xba\xbe", 0o755)),
        bundled()[:2],
        bundled(without=["bin/python3.11"]),
        bundled(without=["lib/python3.11/encodings/__init__.py"]),
        bundled(env=[file("pyvenv.cfg", "home = /usr/bin\n")]),
        bundled(file("bin/python3.11", elf(needed=("libpython3.12.so.1.0",)), 0o755)),
        (*bundled()[:2], replace(facts(INTERPRETER[:-3], "python.tar.gz"), kind="python")),
    ),
    "ARC005": (
        with_env(file(f"{SITE}/x.so", elf(machine="EM_AARCH64"))),
        with_env(file(f"{SITE}/x.so", elf(machine="EM_386"))),
        with_env(file(f"{SITE}/x.{EXTENSION_TAG}.so", elf(machine="EM_AARCH64"))),
        with_env(file("bin/tool", elf(machine="EM_AARCH64"), 0o755)),
        with_env(file(f"{SITE}/libx.so.1", elf()[:100])),
        bundle(app_=app(file("jobs/x.so", elf(machine="EM_AARCH64")))),
    ),
    "ARC006": (with_env(file(f"{SITE}/x.so", elf(versions=("GLIBC_2.35", "GLIBC_2.4")))),),
    "ARC007": (
        with_env(file(f"{SITE}/x.cpython-39-x86_64-linux-gnu.so", elf())),
        with_env(file(f"{SITE}/x.cpython-311-x86_64-linux-musl.so", elf())),
        with_env(file(f"{SITE}/x.cpython-313t-x86_64-linux-gnu.so", elf())),
        with_env(file(f"{SITE}/x.pypy311-pp73-x86_64-linux-gnu.so", elf())),
        with_env(file(f"{SITE}/x.cpython-311-aarch64-linux-gnu.so", elf())),
        bundle(app_=app(file("jobs/x.cpython-312-x86_64-linux-gnu.so", elf()))),
    ),
    "ARC008": (
        with_env(metadata("PySpark", "3.5.6")),
        with_env(metadata("pyspark-client", "4.0.1")),
        with_env(file(f"{SITE}/py4j/__init__.py")),
        bundle(app_=app(file("pyspark/__init__.py"))),
    ),
    "ARC009": (
        with_env(
            metadata("tool"),
            file(
                f"{SITE}/tool-1.0.dist-info/direct_url.json", direct_url("file:///x", editable=True)
            ),
        ),
        with_env(file(f"{SITE}/__editable___tool_1_0_finder.py")),
        with_env(file(f"{SITE}/tool.egg-link", "/home/me/tool\n.")),
        with_env(file(f"{SITE}/tool.pth", "/home/me/tool/src\n")),
        with_env(file(f"{SITE}/tool.pth", "../../../../../tool/src\n")),
    ),
    "ARC010": (
        with_env(metadata("tool", requires=["nowhere>=1"])),
        with_env(metadata("tool", requires=["NumPy>=2"])),
        with_env(metadata("tool", requires=['nowhere; python_version < "3.12"'])),
        bundle(app_=app(metadata("jobs", requires=["nowhere"], site=""))),
    ),
    "ARC011": (
        with_env(metadata("tool", python=">=3.12")),
        with_env(metadata("tool", python="<3.11")),
        bundle(app_=app(metadata("jobs", python="~=3.9.0", site=""))),
    ),
    "ARC012": (with_env(file("bin/pip", "#!/build/venv/bin/python3.11\n", 0o755)),),
    "ARC013": (
        with_env(metadata("pyarrow", "26.0.1"), metadata("NumPy", "1.26.4"), without=[NUMPY]),
        bundle(app_=app(metadata("pyarrow", "27.0", site=""), metadata("numpy", "1.26", site=""))),
    ),
    "ARC014": (unpacked(20_000_000_001),),
    "ARC016": (
        with_env(file("pip.conf", "[global]\nindex-url = https://me:s3cr3t-x@host.test/simple\n")),
        with_env(file(f"{SITE}/conf/key.json", f'{{"private_key": "{KEY}"}}'.replace("\n", "\\n"))),
        with_env(file(f"{SITE}/jobs/conf.py", AWS)),
        with_env(file("share/id_rsa", KEY)),
        bundle(app_=app(file(".netrc", "machine host.test login me password hunter2-x\n"))),
        bundle(app_=app(file("conf/.env.production", "export DB_PASSWORD='hunter2-x'\n"))),
        bundle(app_=app(file(".pypirc", "[pypi]\nusername = me\npassword = hunter2-x\n"))),
        bundle(app_=app(file(".aws/credentials", AWS.replace("AKIA", "ASIA")))),
        bundle(app_=app(file("tests/server.pem", KEY))),
    ),
    "ARC015": (
        with_env(file(f"{SITE}/cv2/cv2.abi3.so", elf(needed=["libGL.so.1", "libc.so.6"]))),
        with_env(file("bin/tool", elf(needed=["libodbc.so.2"]), 0o755)),
        with_env(file(f"{SITE}/x.so", elf(needed=["liby.so"], runpath="/opt/y/lib"))),
        bundle(app_=app(file("jobs/x.so", elf(needed=["liby.so"])))),
    ),
}


def test_a_good_bundle_has_no_findings() -> None:
    report = check_archives(bundle(), TARGET)
    assert report == Report(checked=tuple(CHECKS), findings=())
    assert report.passed


def test_every_check_has_a_planted_fault() -> None:
    assert PLANTED.keys() == CHECKS.keys()


@pytest.mark.parametrize(
    ("code", "spoiled"),
    [(code, spoiled) for code, faults in PLANTED.items() for spoiled in faults],
    ids=[f"{code}-{i}" for code, faults in PLANTED.items() for i in range(len(faults))],
)
def test_a_planted_fault_is_found_once_and_by_its_check_only(code: str, spoiled: Bundle) -> None:
    report = check_archives(spoiled, TARGET)
    assert [f.check for f in report.findings] == [code]
    only_warnings = {f.severity for f in report.findings} == {"warning"}
    assert report.passed == only_warnings
    assert only_warnings == (code in ALWAYS_WARNINGS) or code == "ARC016"
    for finding in report.findings:
        assert finding.what
        assert finding.why
        assert finding.fix
        assert finding.where in {archive.name for archive in spoiled}


def findings(spoiled: Bundle, target: Target = TARGET) -> list[tuple[str, str, str]]:
    return [(f.check, f.severity, f.what) for f in check_archives(spoiled, target).findings]


def test_many_files_of_one_fault_are_one_finding() -> None:
    files = [file(f"{SITE}/x{i}.so", elf(machine="EM_AARCH64")) for i in range(5)]
    listed = f"`{SITE}/x0.so`, `{SITE}/x1.so`, `{SITE}/x2.so`"
    assert findings(with_env(*files)) == [
        ("ARC005", "error", f"built for AARCH64: {listed} and 2 others")
    ]
    assert findings(with_env(*files[:4])) == [
        ("ARC005", "error", f"built for AARCH64: {listed} and 1 other")
    ]


@pytest.mark.parametrize("name", ["env.tar.gz", "ENV.TAR.GZ", "env.tgz", "env.TGZ"])
def test_the_extension_may_have_any_case(name: str) -> None:
    assert findings(named(name)) == []


def test_a_wrapping_directory_is_named() -> None:
    ((_, _, what),) = findings(PLANTED["ARC001"][4])
    assert what == "the environment is one level down, in `venv`"


def test_the_second_pyvenv_cfg_of_venv_pack_is_a_warning() -> None:
    again = next(e for e in ENVIRONMENT if e.path == "pyvenv.cfg")
    assert findings(bundle((*ENVIRONMENT, again))) == [
        ("ARC002", "warning", "`pyvenv.cfg` is there twice")
    ]


def test_a_directory_may_be_there_twice() -> None:
    assert findings(bundle((*ENVIRONMENT, directory(SITE)))) == []


def test_hard_and_relative_links_inside_are_fine() -> None:
    path = f"{SITE}/numpy/__init__.py"
    assert findings(with_env(hardlink("a", path), symlink("share/b", f"../{path}"))) == []


def test_a_bundled_interpreter_is_judged_with_the_environment() -> None:
    assert [archive.kind for archive in bundled()] == ["environment", "app", "python"]
    assert findings(bundled()) == []


def test_an_interpreter_is_named_that_leads_to_the_machine_it_comes_from() -> None:
    program = elf(needed=("libpython3.11.so.1.0",), runpath="/opt/pyenv/lib")
    (finding,) = check_archives(bundled(file("bin/python3.11", program, 0o755)), TARGET).findings
    assert (finding.check, finding.severity) == ("ARC004", "error")
    assert "needs `libpython3.11.so.1.0` and does not say where it is" in finding.what
    assert "its run path is `/opt/pyenv/lib`" in finding.why


@pytest.mark.parametrize(
    "module", [elf(needed=("libssl.so.3",)), elf(needed=("libffi.so.8",), runpath="$ORIGIN/../..")]
)
def test_a_bundled_interpreter_brings_its_libraries_or_fails(module: bytes) -> None:
    path = f"lib/python3.11/lib-dynload/_ssl.{EXTENSION_TAG}.so"
    (finding,) = check_archives(bundled(file(path, module)), TARGET).findings
    assert (finding.check, finding.severity, finding.where) == ("ARC015", "error", "python.tar.gz")
    assert path in finding.what


@pytest.mark.parametrize(
    ("spark", "python", "found"),
    [
        ("3.5.6-amzn-2", "3.12", []),
        ("3.3.1-amzn-0", "3.10", []),
        (
            "3.3.1-amzn-0",
            "3.11",
            [("ARC013", "error", "Spark 3.3.1-amzn-0 does not run on Python 3.11")],
        ),
        ("3.4.1", "3.13", [("ARC013", "error", "Spark 3.4.1 does not run on Python 3.13")]),
        (
            "3.5.6",
            "3.14",
            [("ARC013", "warning", "whether Spark 3.5.6 runs on Python 3.14 is not known")],
        ),
        ("4.1.1", "3.9", [("ARC013", "error", "Spark 4.1.1 does not run on Python 3.9")]),
        (
            "3.2.0",
            "3.6",
            [("ARC013", "warning", "whether Spark 3.2.0 runs on Python 3.6 is not known")],
        ),
    ],
)
def test_a_bundled_python_is_one_that_spark_runs_on(
    spark: str, python: str, found: list[tuple[str, str, str]]
) -> None:
    release = replace(RELEASE, spark=spark, python="3.7", interpreters=())
    target = Target(release=release, arch=ARCHES["amd64"], python=python)
    told = [
        finding
        for archive in [facts(())]
        for finding in spark_runs((replace(archive, kind="environment"),), target)
    ]
    assert [(f.check, f.severity, f.what) for f in told] == found
    assert all(f.why and f.fix for f in told)


def test_the_pythons_of_all_releases_are_ones_that_spark_runs_on() -> None:
    for release in known_releases().values():
        for interpreter in release.interpreters:
            # As if it was bundled: the release's own is not asked.
            other = replace(release, interpreters=(), python="0.0")
            target = Target(release=other, arch=ARCHES["amd64"], python=interpreter.python)
            assert [f.what for f in spark_runs(bundle(), target)] == [], release.label


def on(*interpreters: tuple[str, str, bool], python: str = "3.11", system: str | None) -> Target:
    release = replace(
        RELEASE,
        interpreters=tuple(
            Interpreter(python=version, path=path, confirmed=confirmed, source="inferred")
            for version, path, confirmed in interpreters
        ),
        facts={"python_usr_bin_python3": system},
    )
    return Target(release=release, arch=ARCHES["amd64"], python=python)


@pytest.mark.parametrize(
    ("known", "system", "link", "found"),
    [
        ("/usr/bin/python3", "3.11", "/usr/bin/python3", []),
        ("/usr/bin/python3", "3.11.2", "/usr/bin/python3.11", []),
        ("/usr/bin/python3.11", "3.11", "/usr/bin/python3", []),
        ("/usr/bin/python3.11", None, "/usr/bin/python3", []),
        ("/usr/bin/python3.11", "3.9", "/usr/bin/python3", ["which is Python 3.9 on"]),
        ("/usr/local/bin/python3.11", None, "/usr/bin/python3.11", ["leads to"]),
        ("/usr/local/bin/python3.11", None, "/usr/local/bin/python3.11", []),
        ("/usr/local/bin/python3.11", None, "/usr/local/lib/../bin/python3.11", []),
    ],
)
def test_system_names_of_the_known_interpreter_are_accepted(
    known: str, system: str | None, link: str, found: list[str]
) -> None:
    target = on(("3.11", known, True), system=system)
    whats = [what for _, _, what in findings(with_env(symlink("bin/python", link)), target)]
    assert len(whats) == len(found)
    assert all(text in what for text, what in zip(found, whats, strict=True))


def test_an_interpreter_that_is_inferred_is_a_warning() -> None:
    target = on(("3.11", "/usr/bin/python3.11", False), system="3.9")
    assert findings(bundle(), target) == [
        ("ARC004", "warning", "that emr-7.13.0 has `/usr/bin/python3.11` is not confirmed")
    ]


def test_where_no_interpreter_is_published_a_system_path_is_a_warning() -> None:
    assert findings(bundle(), on(system=None)) == [
        ("ARC004", "warning", "whether emr-7.13.0 has `/usr/bin/python3.11` is not known")
    ]


def test_a_dangling_link_says_how_the_job_would_end() -> None:
    path = "/opt/hostedtoolcache/Python/3.11.9/x64/bin/python3.11"
    (finding,) = check_archives(with_env(symlink("bin/python", path)), TARGET).findings
    assert finding.what == f"`bin/python` leads to `{path}`"
    assert 'Cannot run program "./environment/bin/python": error=2' in finding.why
    assert "`/usr/bin/python3.11`" in finding.why


def test_a_loop_of_links_is_told() -> None:
    """What venv-pack's --python-prefix makes of a symlink environment."""
    spoiled = with_env(symlink("bin/python", "python3.11"), symlink("bin/python3.11", "python"))
    (finding,) = check_archives(spoiled, TARGET).findings
    assert finding.what == "`bin/python` is a link to `python3.11`, which leads back to it"
    assert "Too many levels of symbolic links" in finding.why


def test_links_are_followed_through_directories_and_hard_links() -> None:
    assert (
        findings(
            with_env(
                symlink("bin/python", "../here/python"),
                symlink("here", "there/deep"),
                hardlink("there/deep/python", "opt/python", 0o755),
                file("opt/python", "#!/bin/sh\n", 0o755),
            )
        )
        == []
    )


def test_an_environment_of_another_python_is_told_once() -> None:
    old = [
        replace(
            e,
            path=e.path.replace("3.11", "3.9").replace("311", "39"),
            link=e.link.replace("/usr/bin/python3.11", "/usr/bin/python3.9"),
        )
        for e in ENVIRONMENT
    ]
    target = replace(TARGET, release=replace(RELEASE, python="3.11"))
    relaxed = [replace(e, data=e.data.replace(b">=3.10", b">=3.9")) for e in old]
    assert findings(bundle(relaxed), target) == [
        ("ARC004", "error", "the environment is for Python 3.9, the target's is 3.11")
    ]


STANDARD_LIBRARY = file("lib/python3.11/encodings/__init__.py")
PROGRAM = file("bin/python", elf(), 0o755)


def cfg(home: str) -> Entry:
    return file("pyvenv.cfg", f"home = {home}\n")


@pytest.mark.parametrize(
    ("more", "without", "found"),
    [
        ([PROGRAM, STANDARD_LIBRARY], ["pyvenv.cfg"], []),
        ([PROGRAM, file("lib/python311.zip")], ["pyvenv.cfg"], []),
        ([PROGRAM, cfg("/usr/bin")], [], []),
        ([PROGRAM], ["pyvenv.cfg"], [("error", "a copy without its standard library")]),
        ([PROGRAM, cfg("/build/bin")], [], [("error", "a copy without its standard library")]),
        ([PROGRAM, STANDARD_LIBRARY, cfg("/build/bin")], [], [("error", "`/build/bin`")]),
        (
            [PROGRAM, STANDARD_LIBRARY, cfg("/home/hadoop/environment/bin")],
            [],
            [("warning", "runs at `/home/hadoop/environment` only")],
        ),
        (
            [file("bin/python", elf(needed=["libpython3.11.so.1.0"]), 0o755), STANDARD_LIBRARY],
            ["pyvenv.cfg"],
            [("error", "needs `libpython3.11.so.1.0`, which is not inside")],
        ),
        (
            [
                file("bin/python", elf(needed=["libpython3.11.so.1.0"]), 0o755),
                file("lib/libpython3.11.so.1.0", elf()),
                STANDARD_LIBRARY,
            ],
            ["pyvenv.cfg"],
            [("warning", "does not say where it is")],
        ),
        (
            [
                file(
                    "bin/python",
                    elf(needed=["libpython3.11.so.1.0"], runpath="$ORIGIN/../lib"),
                    0o755,
                ),
                file("lib/libpython3.11.so.1.0", elf()),
                STANDARD_LIBRARY,
            ],
            ["pyvenv.cfg"],
            [],
        ),
    ],
)
def test_a_bundled_interpreter_brings_what_it_needs(
    more: list[Entry], without: list[str], found: list[tuple[str, str]]
) -> None:
    whats = findings(with_env(*more, without=without))
    assert len(whats) == len(found)
    for (code, severity, what), (expected, text) in zip(whats, found, strict=True):
        assert (code, severity) == ("ARC004", expected)
        assert text in what


def test_one_file_for_each_machine_is_a_warning() -> None:
    spoiled = with_env(
        file(f"{SITE}/attach/attach_linux_amd64.so", elf()),
        file(f"{SITE}/attach/attach_linux_x86.so", elf(machine="EM_386")),
    )
    assert findings(spoiled) == [
        ("ARC005", "warning", f"built for 386: `{SITE}/attach/attach_linux_x86.so`")
    ]


def test_code_for_accelerators_is_not_for_the_machine() -> None:
    assert findings(with_env(file(f"{SITE}/kernel.cubin", elf(machine="EM_CUDA")))) == []


def test_what_is_never_loaded_is_a_warning() -> None:
    assert findings(with_env(file(f"{SITE}/tests/sample.bin", ELF_MAGIC))) == [
        ("ARC005", "warning", f"damaged ELF files: `{SITE}/tests/sample.bin`")
    ]


def test_the_same_archive_is_judged_by_the_architecture() -> None:
    target = replace(TARGET, arch=ARCHES["arm64"])
    assert {code for code, *_ in findings(bundle(), target)} == {"ARC005"}


def test_the_newest_c_library_is_named_first() -> None:
    spoiled = with_env(
        file(f"{SITE}/a.so", elf(versions=["GLIBC_2.35"])),
        file(f"{SITE}/b.so", elf(versions=["GLIBC_2.39"])),
        file(f"{SITE}/c.so", elf(versions=["GLIBC_2.34"])),
    )
    assert findings(spoiled) == [
        ("ARC006", "error", f"built for GLIBC 2.39: `{SITE}/b.so`, `{SITE}/a.so`")
    ]


def test_an_unknown_c_library_is_a_warning() -> None:
    target = replace(TARGET, release=replace(RELEASE, glibc=None))
    assert findings(bundle(), target) == [
        ("ARC006", "warning", "whether emr-7.13.0 has GLIBC 2.17 can not be judged")
    ]


def test_extensions_without_a_version_or_with_a_fitting_sibling_are_fine() -> None:
    names = (
        "a.abi3.so",
        "b.so",
        "libc.1.so",
        "d.cpython-39-x86_64-linux-gnu.so",
        f"d.{EXTENSION_TAG}.so",
    )
    assert findings(with_env(*(file(f"{SITE}/{name}", elf()) for name in names))) == []


def test_python_3_7_writes_pymalloc_into_its_tag() -> None:
    target = on(("3.7", "/usr/bin/python3", True), python="3.7", system="3.7")
    env = [
        symlink("bin/python", "/usr/bin/python3"),
        file("pyvenv.cfg"),
        file("lib/python3.7/site-packages/x.cpython-37m-x86_64-linux-gnu.so", elf()),
    ]
    assert findings((facts(env),), target) == []


def test_the_parts_that_emr_provides_are_those_that_are_left_out() -> None:
    import packager

    text = (Path(packager.__file__).parent / "data" / "provided.txt").read_text(encoding="utf-8")
    assert set(PROVIDED) == set(text.split())


def test_types_for_spark_are_not_spark() -> None:
    assert findings(with_env(file(f"{SITE}/pyspark-stubs/sql.pyi"))) == []


def test_a_pyspark_of_another_version_is_a_warning() -> None:
    assert findings(with_env(metadata("tool", requires=["pyspark[sql]>=4", "py4j==0.1"]))) == [
        ("ARC010", "warning", "`pyspark` is 3.5.6 on emr-7.13.0: `tool requires pyspark>=4`")
    ]


def test_everybody_who_misses_one_package_is_in_one_finding() -> None:
    tools = [metadata(f"tool{i}", requires=["Nowhere_X>=1"]) for i in range(4)]
    assert findings(with_env(*tools)) == [
        (
            "ARC010",
            "error",
            (
                "`nowhere-x` is not inside: `tool0 requires Nowhere_X>=1`,"
                " `tool1 requires Nowhere_X>=1`, `tool2 requires Nowhere_X>=1` and 1 other"
            ),
        )
    ]


def test_a_version_that_does_not_fit_is_told_with_what_is_there() -> None:
    assert findings(with_env(metadata("tool", requires=["numpy>=2"]))) == [
        ("ARC010", "error", "`numpy` is 1.26.4: `tool requires numpy>=2`")
    ]


def test_a_prerelease_that_is_inside_counts() -> None:
    more = (metadata("dep", "2.0rc1"), metadata("tool", requires=["dep>=1"]))
    assert findings(with_env(*more)) == []


@pytest.mark.parametrize(
    "text", ["not a requirement!", 'x; python_version < "abc" and nope == "1"']
)
def test_requirements_that_can_not_be_read_are_a_warning(text: str) -> None:
    assert [(c, s) for c, s, _ in findings(with_env(metadata("tool", requires=[text])))] == [
        ("ARC010", "warning")
    ]


def test_a_version_that_is_none_meets_only_what_has_no_bounds() -> None:
    more = (metadata("dep", "unknown!"), metadata("tool", requires=["dep", "dep>=1"]))
    assert [c for c, *_ in findings(with_env(*more))] == ["ARC010"]


def test_an_app_alone_is_warned_of_what_its_environment_may_have() -> None:
    (app_,) = bundle()[1:]
    assert findings((app_,)) == [
        ("ARC010", "warning", "`pandas` is not inside: `jobs requires pandas>=2`")
    ]


def test_an_environment_alone_is_warned_of_the_app_it_is_linked_to() -> None:
    assert findings(bundle()[:1]) == [
        (
            "ARC009",
            "warning",
            f"what stands beside the environment was not checked: `{SITE}/packager-app.pth`",
        )
    ]


def test_what_the_system_may_have_is_a_warning() -> None:
    spoiled = with_env(
        file("pyvenv.cfg", "home = /usr/bin\nInclude-System-Site-Packages = True\n"),
        metadata("tool", requires=["boto3"]),
    )
    assert [(c, s) for c, s, _ in findings(spoiled)] == [("ARC010", "warning")]


@pytest.mark.parametrize("line", ["import os; os.x()", "sub/dir", "."])
def test_pth_lines_inside_are_fine(line: str) -> None:
    assert findings(with_env(file(f"{SITE}/x.pth", line))) == []


def with_version(name: str, version: str, *more: Entry) -> Bundle:
    gone = [e.path for e in ENVIRONMENT if f"/{name}-" in e.path]
    return with_env(metadata(name, version), *more, without=gone)


@pytest.mark.parametrize(
    ("spark", "name", "version", "severity", "what"),
    [
        ("3.3.2", "pandas", "2.0.3", "error", "`pandas 2.0.3` does not go with Spark 3.3.2"),
        ("3.3.2", "pandas", "1.5.3", None, ""),
        ("3.4.0", "pandas", "2.0.3", None, ""),
        ("3.5.6", "numpy", "2.1.0", "warning", "`numpy 2.1.0` does not go with Spark 3.5.6"),
        ("3.4.1", "numpy", "2.1.0", None, ""),
        ("4.0.1", "numpy", "2.1.0", None, ""),
        ("3.5.6", "pandas", "3.0.1", "warning", "`pandas 3.0.1` does not go with Spark 3.5.6"),
        ("4.0.1-amzn-1", "pandas", "3.0.1", None, ""),
    ],
)
def test_pairs_with_spark(
    spark: str, name: str, version: str, severity: str | None, what: str
) -> None:
    target = replace(TARGET, release=replace(RELEASE, spark=spark))
    found = [f for f in findings(with_version(name, version), target) if f[0] == "ARC013"]
    assert found == ([("ARC013", severity, what)] if severity else [])


@pytest.mark.parametrize(
    ("python", "more", "count"), [("3.12", (), 1), ("3.11", (), 0), ("3.12", ("setuptools",), 0)]
)
def test_setuptools_heals_the_lack_of_distutils(
    python: str, more: tuple[str, ...], count: int
) -> None:
    spoiled = with_version("pandas", "2.2.0", *(metadata(name) for name in more))
    found = findings(spoiled, replace(TARGET, python=python))
    what = "`pandas 2.2.0` does not go with Spark 3.5.6 and Python 3.12"
    assert [f for f in found if f[0] == "ARC013"] == [("ARC013", "warning", what)] * count


@pytest.mark.parametrize(
    ("fact", "version", "count"),
    [
        ("3.3.2-amzn-1", "3.3.2", 0),
        ("3.3.2-amzn-1", "3.3.0", 0),
        ("3.3.2-amzn-1", "3.2.1", 1),
        ("4.0.0-amzn-0-spark", "3.3.0", 1),
        (None, "3.2.1", 0),
        ("", "3.2.1", 0),
    ],
)
def test_delta_is_compared_with_that_of_the_release(
    fact: str | None, version: str, count: int
) -> None:
    target = replace(TARGET, release=replace(RELEASE, facts={**RELEASE.facts, "delta": fact}))
    found = findings(with_env(metadata("delta-spark", version)), target)
    what = f"`delta-spark {version}` does not go with the delta {fact} of emr-7.13.0"
    assert found == [("ARC013", "warning", what)] * count


def test_a_pair_names_both() -> None:
    ((_, severity, what),) = findings(PLANTED["ARC013"][0])
    assert (severity, what) == ("error", "`pyarrow 26.0.1` does not go with `numpy 1.26.4`")


def test_of_versions_that_are_none_nothing_is_known() -> None:
    assert findings(with_env(metadata("pyarrow", "of today"))) == []


GOOD_ROW = {
    "package": "x",
    "versions": ">=1",
    "severity": "error",
    "why": "w",
    "fix": "f",
    "source": "s",
}


def test_a_row_of_the_table_needs_no_more_than_a_package_and_its_reasons() -> None:
    assert len(read_pairs({"checked": 1, "pair": [GOOD_ROW]})) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"severity": "fatal"},
        {"source": ""},
        {"versions": "about 3"},
        {"pyhton": ">=3"},
        {"why": ""},
    ],
)
def test_a_damaged_row_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_pairs({"checked": 1, "pair": [{**GOOD_ROW, **change}]})
    with pytest.raises(ValueError, match=r".+"):
        read_pairs({"pairs": []})


@pytest.mark.parametrize(
    ("environment_bytes", "app_bytes", "found"),
    [
        (10**10, 0, []),
        (10**10, 10**8, [("warning", "10.1 GB of a worker's 20 GB")]),
        (10**8, 10**10, [("warning", "10.1 GB of a worker's 20 GB")]),
        (10**10, 10**10, [("warning", "20.0 GB of a worker's 20 GB")]),
        (10**10, 10**10 + 10**8, [("error", "20.1 GB of a worker's 20 GB")]),
    ],
)
def test_all_archives_share_the_disk(
    environment_bytes: int, app_bytes: int, found: list[tuple[str, str]]
) -> None:
    assert findings(unpacked(environment_bytes, app_bytes)) == [
        ("ARC014", severity, f"unpacked, it takes {what}") for severity, what in found
    ]


@pytest.mark.parametrize(
    "needed",
    [
        ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1"],
        ["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libresolv.so.2", "libmvec.so.1"],
        ["libgcc_s.so.1", "libstdc++.so.6", "libz.so.1", "libpython3.11.so.1.0"],
        ["libopenblas.so.0", "libbeside.so", "libnamed.so.3", "/build/lib/libbeside.so"],
    ],
)
def test_libraries_of_the_system_or_inside_are_found(needed: list[str]) -> None:
    more = (
        file(f"{SITE}/x.so", elf(needed=needed, runpath="$ORIGIN/x.libs")),
        file(f"{SITE}/x.libs/libbeside.so", elf()),
        file(f"{SITE}/y.libs/libother.so", elf(soname="libnamed.so.3")),
    )
    assert findings(with_env(*more)) == []


def test_lacking_libraries_are_told_once_with_who_needs_them() -> None:
    more = [file(f"{SITE}/{n}.so", elf(needed=["libGL.so.1", "libX11.so.6"])) for n in "ab"]
    what = f"`libGL.so.1 for {SITE}/a.so`, `libX11.so.6 for {SITE}/a.so`"
    assert findings(with_env(*more)) == [
        ("ARC015", "warning", f"libraries that are not inside: {what}")
    ]


def test_what_needs_libraries_and_is_never_loaded_is_left_alone() -> None:
    assert findings(with_env(file(f"{SITE}/tests/sample.bin", elf(needed=["libx.so"])))) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".env", "PYTHONPATH=src\nDB_PASSWORD=\nDB_TOKEN=$TOKEN\n"),
        (".env.example", "DB_PASSWORD=hunter2-x\n"),
        (".env", "DB_PASSWORD=changeme\nAPI_KEY=<your key>\n"),
        ("pip.conf", "index-url = https://host.test/simple\n"),
        ("pip.conf", "index-url = https://${USER}:${PASSWORD}@host.test/simple\n"),
        ("conf.py", "url = 'https://me:s3cr3t-x@host.test'\n"),
        ("cacert.pem", "-----BEGIN CERTIFICATE-----\n" + "MIIEpAIBAAKCAQEA7bq" * 3),
        ("ssh.py", 'START = b"-----BEGIN OPENSSH PRIVATE KEY-----"\nEND = 1\n'),
        ("doc.md", AWS.replace("ABCD", "EXAMPLE"[:4]).replace("aB3/aB3/", "EXAMPLEK")),
        ("hashes.txt", f"AKIA{'Q3EGUZ' * 2}ABCD {'0f3a' * 10}\n"),
        ("keys.csv", AWS),
        ("id_rsa.bin", KEY),
        ("blob.txt", "\0" * 600 + KEY),
    ],
)
def test_what_only_looks_like_a_credential_is_left_alone(path: str, text: str) -> None:
    assert findings(bundle(app_=app(file(path, text)))) == []


@pytest.mark.parametrize(
    "path", ["tornado/test/test.key", "botocore/docs/x.json", "../test/certdata/keycert.pem"]
)
def test_samples_of_published_packages_are_left_alone(path: str) -> None:
    assert findings(with_env(file(posixpath.normpath(f"{SITE}/{path}"), KEY))) == []


def test_the_key_of_a_published_package_is_a_warning_and_never_told() -> None:
    spoiled = with_env(file(f"{SITE}/moto/ca.key", KEY), file("conf.py", AWS))
    report = check_archives(spoiled, TARGET)
    assert {(f.severity, f.what) for f in report.findings} == {
        ("error", "an AWS access key is inside: `conf.py`"),
        ("warning", f"a private key is inside: `{SITE}/moto/ca.key`"),
    }
    assert "aB3/" not in str(report)
    assert "MIIE" not in str(report)


@pytest.mark.parametrize("python", ["", ">=3.11.7", "!=3.11.0", ">=3.9,<4", "nonsense"])
def test_some_patch_release_is_enough(python: str) -> None:
    """Which one a release has is not published."""
    assert findings(with_env(metadata("tool", python=python))) == []


@pytest.mark.parametrize(
    ("code", "reason", "what"),
    [
        ("ARC004", "", "has no reason"),
        ("ARC004", "  ", "has no reason"),
        ("ARC004", 1, "has no reason"),
        ("ARC400", "fine", "there is no check ARC400"),
        ("arc004", "fine", "there is no check arc004"),
        ("nonsense", "fine", "there is no check nonsense"),
        ("ARC001", "fine", "ARC001 can not be waived"),
        ("ARC002", "fine", "ARC002 can not be waived"),
    ],
)
def test_what_can_not_be_waived_is_refused(code: str, reason: object, what: str) -> None:
    with pytest.raises(ConfigError) as error:
        require_waivable(code, reason, "pyproject.toml")
    assert what in error.value.what
    assert error.value.fix


def test_a_waiver_is_its_reason() -> None:
    assert require_waivable("ARC004", " fine here ", "pyproject.toml") == "fine here"
