"""A container registry with TLS and a password, as ECR has: Debian's, for as long as a test wants."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.rig import debian
from tests.rig.commands import RigError
from tests.rig.engine import MACHINES_OWN, Engine, docker

USER: Final = "AWS"
PASSWORD: Final = "123456789012-auth-token"
"""As moto gives it out for ECR."""
HASHED: Final = "$2b$04$0KN0xk32I2P8gs9x19gda.fizmYvCYsWUO7nXN6Nnlt7jg5EdSOA2"
"""The same by bcrypt, the only form that the registry reads, which Python cannot make."""
HOSTS: Final = Path("/etc/hosts")
CERTIFICATES: Final = Path("/etc/docker/certs.d")
START_S: Final = 30.0

SETTINGS: Final = """\
version: 0.1
log: {{level: info, accesslog: {{disabled: false}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}
auth: {{htpasswd: {{realm: rig, path: {folder}/htpasswd}}}}
http: {{addr: "{listen}"{tls}}}
"""
TLS: Final = ", tls: {{certificate: {certificate}, key: {key}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    host: str
    """What stands before the first slash of an image's name."""
    authority: Path
    """The certificate of who signed the registry's; Docker and skopeo know it, others are told."""
    log: Path
    user: str = USER
    password: str = PASSWORD


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a server proves itself with, and what a client knows it by."""

    authority: Path
    certificate: Path
    key: Path


def lacking(_: Engine = MACHINES_OWN) -> str:
    return "" if shutil.which("docker-registry") else "docker-registry is not installed"


def bring_up(_: Engine = MACHINES_OWN) -> None:
    if lacking():
        debian.install()


@contextmanager
def serve(folder: Path) -> Iterator[Registry]:
    """One that keeps everything in `folder`, reachable from the engine and from containers."""
    address = bridge_address()
    port = free_port(address)
    identity = certify(folder, address)
    registry = Registry(
        host=f"{address}:{port}", authority=identity.authority, log=folder / "registry.log"
    )
    with trusted(registry), program(folder, address, port, identity):
        yield registry


@contextmanager
def program(folder: Path, address: str, port: int, identity: Identity | None) -> Iterator[None]:
    """The registry itself, with TLS if it is given who it is."""
    tls = TLS.format(certificate=identity.certificate, key=identity.key) if identity else ""
    text = SETTINGS.format(folder=folder, listen=f"{address}:{port}", tls=tls)
    settings = folder / "registry.yml"
    settings.write_text(text, encoding="utf-8")
    (folder / "htpasswd").write_text(f"{USER}:{HASHED}\n", encoding="ascii")
    command = ("docker-registry", "serve", str(settings))
    with running(command, folder / "registry.log", address, port):
        yield


def certify(folder: Path, name: str) -> Identity:
    import trustme  # Which a bare machine has not got.

    identity = Identity(
        authority=folder / "authority.pem",
        certificate=folder / "certificate.pem",
        key=folder / "key.pem",
    )
    authority = trustme.CA()
    certificate = authority.issue_cert(name)
    authority.cert_pem.write_to_path(identity.authority)
    certificate.private_key_pem.write_to_path(identity.key)
    chain = b"".join(part.bytes() for part in certificate.cert_chain_pems)
    identity.certificate.write_bytes(chain)
    return identity


def wait_for_engine(registry: Registry) -> None:
    """Let the engine notice the name: Go looks at the file of hosts every five seconds only."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            docker("pull", f"{registry.host}/nothing")
        except RigError as error:
            if "no such host" not in str(error):
                return
        time.sleep(0.2)
    raise RigError(f"the engine does not find {registry.host}")


def bridge_address() -> str:
    """Where the machine and its containers meet.

    Not the loopback address: there Docker checks no certificate.
    """
    gateway = "{{(index .IPAM.Config 0).Gateway}}"
    return docker("network", "inspect", "bridge", "--format", gateway).strip()


@contextmanager
def trusted(registry: Registry) -> Iterator[None]:
    """Docker reads its folder of authorities anew for every connection."""
    folder = CERTIFICATES / registry.host
    folder.mkdir(parents=True, exist_ok=True)  # A killed run may have left it.
    try:
        shutil.copyfile(registry.authority, folder / "ca.crt")
        yield
    finally:
        shutil.rmtree(folder)


@contextmanager
def named(name: str, address: str) -> Iterator[None]:
    """Give the address a name of our own, which no name server is asked for."""
    forget(name)  # A killed run may have left it.
    text = HOSTS.read_text(encoding="utf-8")
    # Written in place: a container's file cannot be replaced, since Docker has mounted it.
    HOSTS.write_text(f"{text}{address} {name}\n", encoding="utf-8")
    try:
        yield
    finally:
        forget(name)


def forget(name: str) -> None:
    lines = HOSTS.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if name not in line.split()]
    HOSTS.write_text("".join(kept), encoding="utf-8")


def free_port(address: str) -> int:
    with socket.create_server((address, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(command: Sequence[str], log: Path, address: str, port: int) -> Iterator[None]:
    """A server, from when it takes connections; it ends with us, even when we are killed."""
    with log.open("wb") as sink:
        server = subprocess.Popen(
            ["setpriv", "--pdeathsig=TERM", *command], stdout=sink, stderr=sink, cwd=log.parent
        )
    try:
        deadline = time.monotonic() + START_S
        while not connects(address, port):
            if server.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise RigError(f"{command[0]} did not start:\n{said}")
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait()


def connects(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
