"""Least-privilege policies of everyone who has a part in a job. Pure.

The seam for whatever embeds them: `policy(kind, scope).to_json()`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from packager.errors import unknown_name
from packager.policies.grammar import MANAGED_CHARS, TRUST_CHARS, Policy
from packager.policies.job import runtime_role, secret, secret_key, trust
from packager.policies.people import deployer, logs, pruner, publisher, pusher, submitter
from packager.policies.scope import Scope

Place = Literal["identity", "trust", "resource"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    write: Callable[[Scope], Policy]
    place: Place
    """`identity`: given to a user or role; `trust`: a role's own; `resource`: a thing's own."""
    purpose: str

    @property
    def chars(self) -> int | None:
        """What IAM takes; None where another service keeps the policy."""
        return {"identity": MANAGED_CHARS, "trust": TRUST_CHARS, "resource": None}[self.place]


KINDS: Final[Mapping[str, Kind]] = {
    "runtime-role": Kind(
        write=runtime_role,
        place="identity",
        purpose="jobs: read archives, write logs, reach the data you name",
    ),
    "trust": Kind(
        write=trust,
        place="trust",
        purpose="the jobs' role: only EMR Serverless, for your applications",
    ),
    "submitter": Kind(
        write=submitter, place="identity", purpose="who starts, follows and cancels jobs"
    ),
    "deployer": Kind(
        write=deployer, place="identity", purpose="who makes and changes applications"
    ),
    "publisher": Kind(
        write=publisher, place="identity", purpose="who uploads archives below one prefix"
    ),
    "pusher": Kind(write=pusher, place="identity", purpose="who pushes images to one repository"),
    "pruner": Kind(write=pruner, place="identity", purpose="who removes old versions"),
    "logs": Kind(write=logs, place="identity", purpose="who reads the logs of jobs"),
    "secret": Kind(write=secret, place="resource", purpose="a secret that configurations refer to"),
    "secret-key": Kind(write=secret_key, place="resource", purpose="the KMS key of such a secret"),
}


def kind_named(name: str) -> Kind:
    """Raise `ConfigError` for a policy that packager does not write."""
    if name not in KINDS:
        raise unknown_name(name, "a policy", KINDS)
    return KINDS[name]
