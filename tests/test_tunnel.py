"""What is started for an engine behind ssh."""

import pytest

from packager.adapters.tunnel import ssh_command
from packager.errors import ConfigError

HERE = ("ssh", "-T", "-o", "ConnectTimeout=20")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ssh://Near", ("--", "Near", "docker system dial-stdio")),
        ("ssh://me@near", ("-l", "me", "--", "near", "docker system dial-stdio")),
        ("ssh://near:22/", ("-p", "22", "--", "near", "docker system dial-stdio")),
        ("ssh://[::1]:22", ("-p", "22", "--", "::1", "docker system dial-stdio")),
        (
            "ssh://near/run/a b.sock",
            ("--", "near", "docker --host unix://'/run/a b.sock' system dial-stdio"),
        ),
        ("ssh://-oProxyCommand=x", ("--", "-oProxyCommand=x", "docker system dial-stdio")),
    ],
)
def test_an_address_becomes_a_command_as_of_the_docker_command(
    address: str, words: tuple[str, ...]
) -> None:
    assert ssh_command(address) == (*HERE, *words)


@pytest.mark.parametrize("address", ["ssh://near:x", "ssh://near:99999", "ssh://[::1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is not the address of an engine"):
        ssh_command(address)
