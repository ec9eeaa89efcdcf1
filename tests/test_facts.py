"""What is observed of files and archives, and that nothing but a message comes of broken ones."""

import gzip
import io
import json
import random
import tarfile
import tracemalloc
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager import facts as facts_module
from packager.elf import DamagedElf, Elf
from packager.errors import ConfigError, PackagerError
from packager.facts import (
    HEAD_BYTES,
    ArchiveFacts,
    DirectUrl,
    Distribution,
    ElfFile,
    Member,
    Observation,
    PthFile,
    PyvenvCfg,
    Script,
    archive_facts,
    from_json,
    moved,
    observe,
    read_archive,
    shown,
    site_path,
    to_json,
)
from tests.archives import (
    APP,
    ENVIRONMENT,
    SITE,
    Entry,
    direct_url,
    directory,
    elf,
    environment,
    facts,
    file,
    gzip_members,
    hardlink,
    metadata,
    symlink,
    tar_bytes,
    tar_gz,
)


def observed(path: str, data: bytes | str) -> tuple[Observation, ...]:
    content = data.encode() if isinstance(data, str) else data
    return observe(path, content[:HEAD_BYTES], lambda: io.BytesIO(content))


def read(data: bytes, name: str = "env.tar.gz") -> ArchiveFacts:
    return read_archive(io.BytesIO(data), name)


def test_metadata_is_read_up_to_its_readme() -> None:
    text = metadata("Foo-Bar", "1.0", requires=("a>=1", 'b; extra == "x"'), python=">=3.9").data
    path = "foo_bar-1.0.dist-info/METADATA"
    assert observed(path, text) == (
        Distribution(
            path=path,
            name="Foo-Bar",
            version="1.0",
            requires_dist=("a>=1", 'b; extra == "x"'),
            requires_python=">=3.9",
        ),
    )


def test_metadata_of_eggs_and_with_windows_line_ends_is_read() -> None:
    path = "foo.egg-info/PKG-INFO"
    assert observed(path, "Name: foo\r\nVersion: 1\r\n\r\nName: other\r\n") == (
        Distribution(path=path, name="foo", version="1"),
    )


def test_an_elf_file_is_one_whatever_its_name() -> None:
    (found,) = observed("data/model", elf(soname="x"))
    assert isinstance(found, ElfFile)
    assert isinstance(found.elf, Elf)
    assert found.elf.soname == "x"
    assert observed("x.so", "not ELF") == ()


def test_a_direct_url_is_told_without_its_credentials() -> None:
    path = "foo-1.dist-info/direct_url.json"
    text = direct_url("https://me:secret@example.com/foo.git", editable=False)
    assert observed(path, text) == (
        DirectUrl(path=path, url="https://example.com/foo.git", editable=False),
    )
    assert observed(path, direct_url("file:///home/me/foo", editable=True)) == (
        DirectUrl(path=path, url="file:///home/me/foo", editable=True),
    )


@pytest.mark.parametrize("text", ["", "[]", "{", '{"url": 1}', "[" * 100_000, "\0", '{"a": 1}'])
def test_a_direct_url_that_is_none_tells_nothing(text: str) -> None:
    assert observed("foo-1.dist-info/direct_url.json", text) == ()


def test_a_direct_url_that_can_not_be_split_is_not_repeated() -> None:
    text = direct_url("https://me:secret@[::1/foo", editable=True)
    (found,) = observed("foo-1.dist-info/direct_url.json", text)
    assert isinstance(found, DirectUrl)
    assert found.url == ""


def test_pth_lines_are_read_where_site_reads_them_only() -> None:
    text = "# comment\n\n../../app\nimport x; x.y()\n"
    lines = ("../../app", "import x; x.y()")
    for path in ("x.pth", f"{SITE}/x.pth", "foo-1.data/purelib/x.pth"):
        assert observed(path, text) == (PthFile(path=path, lines=lines),)
    assert observed(f"{SITE}/torch/model.pth", text) == ()


def test_the_first_line_of_a_script_is_read() -> None:
    for path in ("bin/x", "foo-1.data/scripts/x"):
        assert observed(path, "#!/bin/sh -e\nexit\n") == (
            Script(path=path, interpreter="/bin/sh -e"),
        )
    assert observed("bin/activate", "# sourced\n") == ()
    assert observed("foo/x.py", "#!/usr/bin/python\n") == ()


def test_a_file_that_tells_nothing_is_not_opened() -> None:
    def refuse() -> NoReturn:
        raise AssertionError("opened")

    assert observe("numpy/__init__.py", b"import numpy\n", refuse) == ()
    assert observe("bin/x", b"#!/bin/sh\n", refuse) == (
        Script(path="bin/x", interpreter="/bin/sh"),
    )


def test_settings_of_pyvenv_cfg_are_read_as_site_reads_them() -> None:
    (cfg,) = observed("pyvenv.cfg", "Home = /a\nnothing\nhome=/usr/bin \n")
    assert isinstance(cfg, PyvenvCfg)
    assert cfg.value("home") == "/usr/bin"
    assert cfg.value("version") is None


def test_every_observation_survives_json() -> None:
    observations = (
        *observed("x.so", elf(versions=("GLIBC_2.17",), soname="x")),
        *observed("y.so", elf()[:70]),
        *observed("foo-1.0.dist-info/METADATA", metadata("foo", requires=("a", "b")).data),
        *observed("foo-1.0.dist-info/direct_url.json", direct_url("file:///x", editable=True)),
        *observed("x.pth", "a\nb\n"),
        *observed("bin/x", "#!/bin/sh\n"),
        *observed("pyvenv.cfg", "home = /usr/bin\n"),
        *observed(".netrc", "machine host.test login me password hunter2-x\n"),
        Script(path="bin/\udcff", interpreter="x"),
    )
    assert {type(o) for o in observations} == set(Observation.__args__)
    assert any(isinstance(o, ElfFile) and isinstance(o.elf, DamagedElf) for o in observations)
    text = json.dumps([to_json(o) for o in observations])
    assert tuple(from_json(value) for value in json.loads(text)) == observations


@pytest.mark.parametrize(
    "value", [None, [], {}, {"kind": "Other"}, {"kind": "Script"}, {"kind": "ElfFile", "elf": 1}]
)
def test_what_is_no_observation_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not an observation"):
        from_json(value)


def test_observations_of_a_wheel_stand_for_the_archive_it_became() -> None:
    files = {
        "foo-1.0.dist-info/METADATA": metadata("foo").data,
        "foo/x.so": elf(),
        "foo.pth": b"sub\n",
    }
    merged = archive_facts(
        "env.tar.gz",
        kind="environment",
        members=[
            Member(path=f"{SITE}/{path}", kind="file", mode=0o644, size=len(data))
            for path, data in files.items()
        ],
        observations=[
            moved(o, f"{SITE}/{path}") for path, data in files.items() for o in observed(path, data)
        ],
        size_bytes=0,
    )
    whole = facts(file(f"{SITE}/{path}", data) for path, data in files.items())
    assert merged == archive_facts(
        whole.name,
        kind=whole.kind,
        members=whole.members,
        observations=(*whole.elf_files, *whole.distributions, *whole.pth_files),
        size_bytes=0,
    )
    assert [d.name for d in whole.installed] == ["foo"]


def test_an_archive_is_read_whole() -> None:
    data = tar_gz(ENVIRONMENT)
    found = read(data)
    assert [m.path for m in found.members] == [entry.path for entry in ENVIRONMENT]
    assert (found.name, found.kind, found.python) == ("env.tar.gz", "environment", "3.11")
    assert found.size_bytes == len(data)
    assert found.unpacked_bytes == sum(len(entry.data) for entry in ENVIRONMENT)
    assert found.members[0] == Member(
        path="bin/python", kind="symlink", mode=0o777, size=0, link="/usr/bin/python3.11"
    )
    assert {d.name for d in found.distributions} - {d.name for d in found.installed} == {"pep517"}
    assert len(found.elf_files) == 2
    assert found.pyvenv_cfg is not None


@settings(deadline=None)
@given(st.lists(st.integers(0, len(tar_bytes(ENVIRONMENT))), max_size=20))
def test_many_gzip_members_read_as_one(cuts: list[int]) -> None:
    whole = tar_bytes(ENVIRONMENT)
    found, expected = read(gzip_members(whole, cuts)), read(gzip.compress(whole))
    assert found.members == expected.members
    assert found.elf_files == expected.elf_files


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_reads_the_same(form: int) -> None:
    long = f"{SITE}/{'x' * 90}/{'y' * 90}"
    entries = environment(file(f"{long}/z.py"), hardlink("b.py", f"{long}/z.py"))
    if form == tarfile.USTAR_FORMAT:  # It has no room for a long link.
        entries = entries[:-1]
    found = facts(entries)
    assert read(tar_gz(entries, form=form)).members == found.members
    assert f"{long}/z.py" in {m.path for m in found.members}


def test_names_are_told_without_dot_slash() -> None:
    entries = (
        directory("./"),
        directory("./bin"),
        file("./a//b/./c.py"),
        hardlink("./d", "./a/b/c.py"),
    )
    found = facts(entries)
    assert [(m.path, m.kind, m.link) for m in found.members] == [
        ("bin", "directory", ""),
        ("a/b/c.py", "file", ""),
        ("d", "hardlink", "a/b/c.py"),
    ]


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x"])
def test_names_that_leave_the_archive_are_kept_for_a_check(path: str) -> None:
    assert [m.path for m in facts([file(path)]).members] == [path]


def test_of_two_files_of_one_path_the_last_is_observed() -> None:
    found = facts((*ENVIRONMENT, file("pyvenv.cfg", "home = /other\n")))
    assert [m.path for m in found.members].count("pyvenv.cfg") == 2
    assert found.pyvenv_cfg == PyvenvCfg(path="pyvenv.cfg", text="home = /other\n")
    replaced = facts((file("bin/x", elf()), file("bin/x", "#!/bin/sh\n")))
    assert (replaced.elf_files, len(replaced.scripts)) == ((), 1)


@pytest.mark.parametrize(
    ("entries", "kind", "wrapper"),
    [
        (ENVIRONMENT, "environment", ""),
        (APP, "app", ""),
        ([file("bin/python3", elf())], "environment", ""),
        ([file("pyvenv.cfg")], "environment", ""),
        ([file("lib/python3.9/os.py")], "environment", ""),
        ([symlink("venv/bin/python", "/usr/bin/python3")], "environment", "venv"),
        ([file("jobs/bin/tool"), file("jobs/lib/x.py")], "app", ""),
        ([], "app", ""),
    ],
)
def test_the_kind_is_found_out(entries: list[Entry], kind: str, wrapper: str) -> None:
    found = facts(entries)
    assert (found.kind, found.wrapper) == (kind, wrapper)


def test_a_given_kind_stands() -> None:
    assert facts(APP, kind="environment").kind == "environment"


def test_the_python_with_most_files_comes_first() -> None:
    found = facts(environment(file("lib/python3.9/site-packages/old.py")))
    assert found.pythons == ("3.11", "3.9")


def test_import_directories_are_known_through_wrapper_and_lib64() -> None:
    wrapped = facts([file("venv/pyvenv.cfg"), file("venv/lib64/python3.9/site-packages/a/b.py")])
    assert site_path(wrapped, "venv/lib64/python3.9/site-packages/a/b.py") == "a/b.py"
    assert site_path(wrapped, "venv/pyvenv.cfg") is None
    assert site_path(facts(APP), "jobs/main.py") == "jobs/main.py"


def test_a_large_elf_file_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_module, "LARGEST_IN_MEMORY_BYTES", 1 << 20)
    data = tar_gz([file("x.so", elf(soname="big", padding=24 << 20)), file("y")])
    tracemalloc.start()
    found = read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    assert isinstance(found.elf_files[0].elf, Elf)
    assert found.elf_files[0].elf.soname == "big"


class CountingSource(io.BytesIO):
    """Counts the bytes given out."""

    given = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.given += len(data)
        return data


def test_an_archive_is_inflated_once() -> None:
    """tarfile steps back one byte before a header; plain gzip would begin anew for some."""
    noise = random.Random(1)
    data = tar_gz(
        file(f"x{i}.so", elf() + noise.randbytes((8192 << i % 3) - len(elf()))) for i in range(60)
    )
    source = CountingSource(data)
    assert len(read_archive(source, "env.tar.gz").members) == 60
    assert source.given < 1.1 * len(data) + 4096


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b"", "empty"),
        (b"PK\x03\x04" + bytes(100), "a zip"),
        (b"BZh9" + bytes(100), "bzip2"),
        (b"\xfd7zXZ\x00" + bytes(100), "xz"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "zstd"),
        (tar_bytes(APP), "a tar that is not compressed"),
        (b"hello", "neither gzip nor tar"),
    ],
)
def test_another_form_is_named(data: bytes, form: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(data, "env.zip")
    assert error.value.what == "env.zip is not a .tar.gz"
    assert form in error.value.why


def test_a_gzip_of_something_else_is_damaged() -> None:
    with pytest.raises(ConfigError, match="^env.tar.gz is damaged at its first member$"):
        read(gzip.compress(b"x" * 2000))


def test_a_cut_download_is_told_with_its_place() -> None:
    data = tar_gz((file("a.py"), file("b.bin", random.Random(1).randbytes(1 << 16)), file("c")))
    with pytest.raises(ConfigError, match="^env.tar.gz is cut off or damaged after `b.bin`$"):
        read(data[: len(data) // 2])


def test_an_archive_cut_between_gzip_members_is_cut_off() -> None:
    """Each half is sound gzip and sound tar; only the end marker is missing."""
    whole = tar_bytes(APP)
    with pytest.raises(ConfigError, match="is cut off or damaged after `jobs/main.py`"):
        read(gzip.compress(whole[: 4 * 512][: 3 * 512]))


def test_zeros_before_the_cut_are_no_end_marker() -> None:
    whole = tar_bytes([file("zeros", bytes(2048))])
    with pytest.raises(ConfigError, match="is cut off or damaged after `zeros`"):
        read(gzip.compress(whole[: 512 + 2048]))


def test_a_damaged_member_in_the_middle_is_told() -> None:
    whole = tar_bytes((file("a.py", "x" * 1024), file("b.py", "y" * 1024), file("c.py")))
    data = bytearray(gzip_members(whole, [1536, 2048]))
    data[len(data) - len(gzip.compress(whole[2048:], mtime=0)) - 6] ^= 0xFF  # its checksum
    with pytest.raises(ConfigError, match="env.tar.gz is damaged after `b.py`"):
        read(bytes(data))


def test_a_header_that_is_none_is_not_taken_for_the_end() -> None:
    whole = bytearray(tar_bytes((file("a.py"), file("b.py"), file("c.py"))))
    whole[512 + 150] ^= 0xFF  # the checksum of the second header
    with pytest.raises(ConfigError, match="after `a.py`"):
        read(gzip.compress(bytes(whole)))


def test_a_wrong_checksum_after_the_tars_end_is_told() -> None:
    data = bytearray(tar_gz(APP) + gzip.compress(bytes(1024), mtime=0))
    data[-6] ^= 0xFF
    with pytest.raises(ConfigError, match="is damaged after"):
        read(bytes(data))


def test_a_chain_of_long_names_is_told() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1
    link = info.tobuf(tarfile.GNU_FORMAT) + b"x".ljust(512, b"\0")
    with pytest.raises(ConfigError, match="is damaged"):
        read(gzip.compress(link * 2000))


@pytest.mark.parametrize("size", [-512, 1 << 40])
def test_a_header_with_an_absurd_size_is_told(size: int) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, size
    with pytest.raises(ConfigError):
        read(
            gzip.compress(
                tar_bytes([file("a")])[:512] + info.tobuf(tarfile.GNU_FORMAT) + bytes(4096)
            )
        )


def test_a_file_that_can_not_be_read_is_not_called_damaged() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 1000:
                raise OSError(5, "Input/output error")
            return super().read(min(size or 0, 900))

    data = tar_gz([file("x", random.Random(1).randbytes(1 << 16))])
    with pytest.raises(ConfigError, match="^env.tar.gz cannot be read$"):
        read_archive(Broken(data), "env.tar.gz")


WHOLE = tar_bytes((*ENVIRONMENT, file("x" * 150), hardlink("y", "x" * 150)))


@settings(deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_damage_anywhere_gives_facts_or_a_message(seed: int, outside: bool) -> None:
    generator = random.Random(seed)
    data = bytearray(gzip_members(WHOLE, [700, 5000]) if outside else WHOLE)
    for _ in range(generator.randint(1, 6)):
        data[generator.randrange(len(data))] = generator.choice((0, 255, generator.randrange(256)))
    if generator.random() < 0.3:
        del data[generator.randrange(len(data)) :]
    try:
        found = read(bytes(data) if outside else gzip.compress(bytes(data), 1))
    except PackagerError:
        return
    assert isinstance(found, ArchiveFacts)


def test_names_are_shown_in_one_printable_line() -> None:
    assert shown("a\nb\udcff\x1b[31m ü") == "`a\\nb\\udcff\\x1b[31m ü`"
    shown("\udcff").encode("utf-8")
