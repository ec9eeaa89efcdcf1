"""Tags and markers of a target, against literal expectations and against `packaging`."""

from dataclasses import replace

import pytest
from packaging import _manylinux
from packaging.markers import Marker, default_environment
from packaging.tags import Tag, parse_tag

from packager.errors import ConfigError
from packager.target import ARCHES, OLDEST_MANYLINUX_GLIBC, Target, parse_arch
from tests.archives import RELEASE, TARGET

OLD = replace(RELEASE, label="emr-6.15.0", glibc=(2, 26), python="3.7", interpreters=())
NO_GLIBC = replace(RELEASE, glibc=None)


def target(
    python: str = "3.11", arch: str = "amd64", *, glibc: tuple[int, int] = (2, 34)
) -> Target:
    return Target(release=replace(RELEASE, glibc=glibc), arch=ARCHES[arch], python=python)


def accepts(on: Target, tag: str) -> bool:
    return bool(parse_tag(tag) & set(on.tags()))


def platforms(on: Target) -> list[str]:
    return list(dict.fromkeys(tag.platform for tag in on.tags()))


@pytest.mark.parametrize(
    "tag",
    [
        "py3-none-any",
        "py2.py3-none-any",
        "cp311-cp311-manylinux_2_34_x86_64",
        "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp311-cp311-manylinux1_x86_64",
        "cp37-abi3-manylinux2010_x86_64",
        "cp311-cp311-linux_x86_64",
        "py3-none-manylinux2014_x86_64",
        "py311-none-any",
    ],
)
def test_wheels_that_run_on_the_target_are_accepted(tag: str) -> None:
    assert accepts(TARGET, tag)


@pytest.mark.parametrize(
    "tag",
    [
        "cp311-cp311-manylinux_2_35_x86_64",
        "cp311-cp311-manylinux_2_17_aarch64",
        "cp311-cp311-musllinux_1_2_x86_64",
        "cp311-cp311-macosx_11_0_arm64",
        "cp311-cp311-win_amd64",
        "cp310-cp310-manylinux2014_x86_64",
        "cp312-abi3-manylinux2014_x86_64",
        "cp311-cp311t-manylinux2014_x86_64",
        "pp311-pypy311_pp73-manylinux2014_x86_64",
        "py312-none-any",
        "py2-none-any",
    ],
)
def test_wheels_that_do_not_run_on_the_target_are_not(tag: str) -> None:
    assert not accepts(TARGET, tag)


def test_python_3_7_has_the_abi_of_pymalloc() -> None:
    tags = tuple(target("3.7", glibc=(2, 26)).tags())
    assert tags[0] == Tag("cp37", "cp37m", "manylinux_2_26_x86_64")
    assert not any(tag.abi == "cp37" for tag in tags)


def test_later_pythons_do_not() -> None:
    assert next(target("3.9").tags()) == Tag("cp39", "cp39", "manylinux_2_34_x86_64")
    assert not any(tag.abi == "cp38m" for tag in target("3.8").tags())


def test_platforms_of_amazon_linux_2_in_order() -> None:
    assert platforms(target("3.7", glibc=(2, 26))) == [
        *(f"manylinux_2_{minor}_x86_64" for minor in range(26, 16, -1)),
        "manylinux2014_x86_64",
        *(f"manylinux_2_{minor}_x86_64" for minor in range(16, 11, -1)),
        "manylinux2010_x86_64",
        *(f"manylinux_2_{minor}_x86_64" for minor in range(11, 4, -1)),
        "manylinux1_x86_64",
        "linux_x86_64",
        "any",
    ]


def test_aarch64_begins_with_manylinux2014() -> None:
    assert platforms(target("3.9", "arm64"))[-4:] == [
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
        "linux_aarch64",
        "any",
    ]
    assert OLDEST_MANYLINUX_GLIBC["aarch64"] == (2, 17)


def test_a_wheel_for_a_newer_libc_is_for_the_newer_release_only() -> None:
    tag = "cp39-cp39-manylinux_2_28_x86_64"
    assert accepts(target("3.9", glibc=(2, 34)), tag)
    assert not accepts(target("3.9", glibc=(2, 26)), tag)


@pytest.mark.parametrize("glibc", [(2, 17), (2, 26), (2, 34), (2, 39)])
@pytest.mark.parametrize("arch", ARCHES)
def test_platforms_are_those_packaging_sees_on_such_a_machine(
    arch: str, glibc: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pip accepts there: `packaging` asked as if it ran there."""
    monkeypatch.setattr(_manylinux, "_get_glibc_version", lambda: glibc)
    machine = ARCHES[arch].machine
    theirs = [*_manylinux.platform_tags([machine]), f"linux_{machine}", "any"]
    assert platforms(target(arch=arch, glibc=glibc)) == theirs


def test_tags_come_once_and_compiled_before_pure() -> None:
    tags = list(TARGET.tags())
    assert len(tags) == len(set(tags))
    assert tags.index(Tag("cp311", "cp311", "manylinux1_x86_64")) < tags.index(
        Tag("cp311", "abi3", "manylinux_2_34_x86_64")
    )
    assert tags.index(Tag("py3", "none", "manylinux1_x86_64")) < tags.index(
        Tag("py3", "none", "any")
    )


@pytest.mark.parametrize(
    ("marker", "holds"),
    [
        ("sys_platform == 'linux' and platform_system == 'Linux' and os_name == 'posix'", True),
        ("platform_machine == 'aarch64'", True),
        ("platform_machine == 'x86_64'", False),
        ("python_version < '3.10'", True),
        ("python_version < '3.9'", False),
        ("python_full_version >= '3.9.0'", True),
        # The patch level is not known, so nothing is assumed of it.
        ("python_full_version >= '3.9.1'", False),
        ("implementation_name == 'cpython' and platform_python_implementation != 'PyPy'", True),
        ("sys_platform == 'win32' or sys_platform == 'darwin'", False),
    ],
)
def test_markers_speak_of_the_target_and_not_of_this_machine(marker: str, holds: bool) -> None:
    environment = {key: str(value) for key, value in target("3.9", "arm64").markers().items()}
    assert Marker(marker).evaluate(environment) is holds


def test_every_marker_variable_of_pep_508_has_a_value() -> None:
    """One that is missing would be filled in from the machine that packs."""
    assert set(TARGET.markers()) == set(default_environment())


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("x86_64", "amd64"),
        ("X86_64", "amd64"),
        ("aarch64", "arm64"),
        ("ARM64", "arm64"),
        ("AMD64", "amd64"),
        ("amd46", "amd64"),
    ],
)
def test_an_unknown_architecture_is_refused_with_the_one_that_was_meant(
    name: str, near: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_arch(name)
    assert caught.value.what == f"{name!r} is not an architecture"
    assert caught.value.fix == f"did you mean {near!r}?"


def test_an_architecture_like_none_is_refused_without_a_guess() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_arch("sparc")
    assert caught.value.why == "known: amd64, arm64, and `all` for both"
    assert "mean" not in caught.value.fix


@pytest.mark.parametrize("name", ARCHES)
def test_known_architectures_have_every_name_the_world_gives_them(name: str) -> None:
    arch = parse_arch(name)
    assert arch.name == name
    assert (arch.machine, arch.emr, arch.elf_machine, arch.oci_platform) == {
        "amd64": ("x86_64", "X86_64", "EM_X86_64", "linux/amd64"),
        "arm64": ("aarch64", "ARM64", "EM_AARCH64", "linux/arm64"),
    }[name]


def test_an_unknown_c_library_ends_what_depends_on_it() -> None:
    unknown = replace(TARGET, release=NO_GLIBC)
    with pytest.raises(ConfigError, match="C library of emr-7.13.0 is not known") as caught:
        list(unknown.tags())
    assert '[tool.packager.releases."emr-7.13.0"]' in caught.value.fix


def test_the_interpreter_is_that_of_the_release() -> None:
    own = [replace(TARGET, python=python).interpreter for python in ("3.11", "3.9")]
    assert [i.path for i in own if i] == ["/usr/bin/python3.11", "/usr/bin/python3"]


def test_a_python_the_release_does_not_have_is_bundled() -> None:
    assert target("3.12").interpreter is None
    assert Target(release=OLD, arch=ARCHES["amd64"], python="3.7").interpreter is None


def test_site_packages_follow_the_python() -> None:
    assert target("3.9").site_packages == "lib/python3.9/site-packages"
    assert target("3.9").python_version == (3, 9)
