"""Packages of a base's own system: how they are installed, and what it means where they are not.

Pure. The words are those of dnf and microdnf (Amazon Linux 2023), yum (Amazon Linux 2) and apt-get.
"""

import re
import shlex
from collections.abc import Sequence
from typing import Final

from packager.errors import CommandError, ConfigError, PackagerError

_BEGINS: Final = "RUN if command -v dnf"
# yum goes on without the names that it does not know, if it knows one of them (yum.conf(5)).
_INSTALL: Final = f"""\
{_BEGINS} > /dev/null; then dnf install -y {{packages}} && dnf clean all; \\
    elif command -v microdnf > /dev/null; then \\
      microdnf install -y {{packages}} && microdnf clean all; \\
    elif command -v yum > /dev/null; then \\
      yum install -y --setopt=skip_missing_names_on_install=False {{packages}} && yum clean all; \\
    else apt-get update \\
      && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {{packages}} \\
      && apt-get clean && rm -rf /var/lib/apt/lists/*; fi"""

# First of all: a manager that reaches no repository goes on to say that it knows no package.
_UNREACHABLE: Final = re.compile(
    r"Curl error \(\d+\)|Status code: \d+ for |Cannot prepare internal mirrorlist"
    r"|Failed to download metadata|Could not retrieve mirrorlist|Cannot find a valid baseurl"
    r"|Temporary failure resolving|Could not resolve|Could not connect to|E: Failed to fetch"
)
_UNKNOWN: Final = re.compile(
    r"No match for argument: (?P<dnf>\S+)|Unable to find a match: (?P<last>.+)"
    r"|No package (?P<yum>\S+) available|No package matches '(?P<micro>[^']+)'"
    r"|Unable to locate package (?P<apt>\S+)|Package '?(?P<gone>[^ ']+)'? has no installation"
)
_NO_MANAGER: Final = re.compile(r"apt-get: (command )?not found")


def install_step(packages: Sequence[str]) -> str:
    return _INSTALL.format(packages=" ".join(map(shlex.quote, packages)))


def install_failure(step: str, said: Sequence[str], base: str) -> PackagerError | None:
    """What it means that a step of a build failed; None if it is another one, or not known."""
    if not step.startswith(_BEGINS):
        return None
    if any(map(_NO_MANAGER.search, said)):
        return ConfigError(
            f"the base image {base} has no package manager",
            why="`packages` are installed by dnf, microdnf, yum or apt-get, and it has none",
            fix="name another with --base-image; or bring what they have by `files` or `commands`",
        )
    if unreached := [line for line in said if _UNREACHABLE.search(line)]:
        return CommandError(
            f"the package manager of {base} can not reach its repositories",
            why=unreached[0].strip(),
            fix="a build has the engine's network: see its DNS, and \"proxies\" in Docker's"
            " config.json; or name a base image that has the packages: --base-image",
        )
    found = [match for line in said if (match := _UNKNOWN.search(line))]
    if found:
        names = dict.fromkeys(name for m in found for name in (m[m.lastgroup or 0]).split())
        return ConfigError(
            f"the system of {base} has no package {', '.join(names)}",
            why=found[0].string.strip(),
            fix="correct `packages`: names as the base image's own package manager knows them, on"
            " this architecture",
        )
    return None
