"""What an environment and an app layer are made of besides wheels, and what that shows. Pure.

`bin/python` is a link to the interpreter the release has. The environment is a virtual environment
without a build machine: `pyvenv.cfg` names the directory of that interpreter and nothing else.
Where the release lacks the Python, the link leads to a bundled one, and there is no `pyvenv.cfg`.
"""

import io
from pathlib import PurePosixPath
from typing import Final

from packager.facts import HEAD_BYTES, Member, Observation, observe
from packager.standalone import ALIAS, start_members
from packager.tarball import FILE_MODE, Content, Span, Stored, Symlink, TarMember
from packager.target import Target
from packager.wheels import Layout

LINK_TO_APP: Final = "packager-app.pth"
"""Puts the app, unpacked beside the environment, on `sys.path` as if it were one tree."""

APP_LAYOUT: Final = Layout(
    site_packages="", headers="include", python="../../environment/bin/python"
)


def environment_layout(target: Target) -> Layout:
    return Layout(
        site_packages=target.site_packages,
        headers=f"include/site/python{target.python}",
        python="python",
    )


def skeleton(
    target: Target, *, with_app_layer: bool, with_python_layer: bool = True
) -> tuple[TarMember, ...]:
    """The files of an empty environment.

    Without a layer of its own, a bundled interpreter becomes a part of the environment.
    """
    link: tuple[TarMember, ...] = ()
    if with_app_layer:
        up = "../" * (len(target.site_packages.split("/")) + 1)
        link = (
            Content(
                path=f"{target.site_packages}/{LINK_TO_APP}",
                mode=FILE_MODE,
                data=f"{up}app\n".encode(),
            ),
        )
    if target.interpreter is None and not with_python_layer:
        return (*link, *start_members(target.python))
    program = bundled_program(target) if target.interpreter is None else target.interpreter.path
    return (
        Symlink(path="bin/python", link=program),
        Symlink(path="bin/python3", link="python"),
        Symlink(path=f"bin/python{target.python}", link="python"),
        *link,
        # Fedora's family, Amazon Linux with it, looks for compiled packages in lib64.
        Symlink(path="lib64", link="lib"),
        *_config(target),
    )


def bundled_program(target: Target) -> str:
    """From the environment's `bin`, that of an interpreter unpacked beside it."""
    return f"../../{ALIAS}/bin/python{target.python}"


def _config(target: Target) -> tuple[TarMember, ...]:
    if target.interpreter is None:
        return ()
    # The keys that the standard library's `site` reads, and what tools show as the version.
    text = (
        f"home = {PurePosixPath(target.interpreter.path).parent}\n"
        f"include-system-site-packages = false\n"
        f"version = {target.python}\n"
    )
    return (Content(path="pyvenv.cfg", mode=FILE_MODE, data=text.encode()),)


def member_facts(member: TarMember) -> Member:
    if isinstance(member, Span):  # nearly all, for which `match` takes three times as long
        return Member(member.path, "file", member.mode, member.size)
    match member:
        case Symlink():
            return Member(path=member.path, kind="symlink", mode=0o777, size=0, link=member.link)
        case Content():
            size = len(member.data)
            return Member(path=member.path, kind="file", mode=member.mode, size=size)
        case Stored():
            return Member(path=member.path, kind="file", mode=member.mode, size=member.size)


def observe_content(member: Content) -> tuple[Observation, ...]:
    data = bytes(member.data)
    return observe(member.path, data[:HEAD_BYTES], lambda: io.BytesIO(data))
