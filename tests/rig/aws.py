"""AWS as far as publishing needs it: moto for what is asked of it, a real registry for images.

moto stores what it is told and checks little: it takes an object with a wrong checksum.
"""

import fcntl
import ssl
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.rig import ecr, registry
from tests.rig.ecr import Fault
from tests.rig.registry import Registry

ACCOUNT: Final = "123456789012"
REGION: Final = "us-east-1"
KEY: Final = "rig"
"""Both the id and the secret: moto looks at neither."""
LOCK: Final = Path("/run/lock/packager-rig-aws")
ECR: Final = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """What AWS's APIs answer, without a registry behind ECR."""

    endpoint: str
    """For `AWS_ENDPOINT_URL`."""

    def environment(self) -> dict[str, str]:
        """What AWS's own clients, boto3 among them, have to be told."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
            # Nothing of who runs the tests, and no question to a machine that EC2 might be.
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def forget(self) -> None:
        """Be as if nobody had ever asked for anything."""
        wanted = urllib.request.Request(f"{self.endpoint}/moto-api/reset", method="POST")  # noqa: S310
        urllib.request.urlopen(wanted, timeout=60).close()  # noqa: S310


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws(Cloud):
    """Containers reach its endpoint, too."""

    registry: Registry
    """Under the name that moto gives to repositories."""
    faults: list[Fault] = field(default_factory=list)
    """What goes wrong between clients and the registry."""


@contextmanager
def serve(folder: Path) -> Iterator[Aws]:
    address = registry.bridge_address()
    identity = registry.certify(folder, ECR)
    aws = Aws(
        endpoint=f"http://{address}:{registry.free_port(address)}",
        registry=Registry(host=ECR, authority=identity.authority, log=folder / "registry.log"),
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(identity.certificate, identity.key)
    backend = registry.free_port("127.0.0.1")
    with (
        alone(),
        moto(aws.endpoint, folder / "moto.log"),
        registry.program(folder, "127.0.0.1", backend, None),
        ecr.serve(
            (address, 443), backend_port=backend, ecr=client(aws, "ecr"), tls=tls, faults=aws.faults
        ),
        registry.named(ECR, address),
        registry.trusted(aws.registry),
    ):
        registry.wait_for_engine(aws.registry)
        yield aws


@contextmanager
def serve_apis(folder: Path) -> Iterator[Cloud]:
    """Needs no engine, and as many as wanted run side by side."""
    cloud = Cloud(endpoint=f"http://127.0.0.1:{registry.free_port('127.0.0.1')}")
    with moto(cloud.endpoint, folder / "moto.log"):
        yield cloud


@contextmanager
def alone() -> Iterator[None]:
    """A machine has one ECR at a time, by its name and its port: wait for another run of tests."""
    with LOCK.open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def moto(endpoint: str, log: Path) -> Iterator[None]:
    address, _, port = endpoint.removeprefix("http://").partition(":")
    program = str(Path(sys.executable).with_name("moto_server"))
    command = (program, "--host", address, "--port", port)
    with registry.running(command, log, address, int(port)):
        yield


def client(aws: Cloud, service: str) -> Any:
    """One of boto3's, whatever the environment says."""
    import boto3  # Slow to load.

    return boto3.client(
        service,
        endpoint_url=aws.endpoint,
        region_name=REGION,
        aws_access_key_id=KEY,
        aws_secret_access_key=KEY,
    )
