"""Who asks AWS, where, and with how much patience. Clients of every service come from here.

Credentials, profiles, endpoints (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3`), proxies and a
company's CA (`AWS_CA_BUNDLE`) are found as the AWS command line finds them: by its own SDK.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from packager import __version__
from packager.adapters.aws.failures import explained
from packager.errors import ConfigError
from packager.settings import Settings

CONNECT_S: Final = 10
TRIES: Final = 5
"""Of one call: SDKs wait up to 1, 2, 4 and 8 seconds in between, each time by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An account of AWS as settings, environment and profile lead to it."""

    sdk: Any
    """botocore's session: clients alone, for which boto3 would load twice as long."""
    region: str
    path_style: bool
    silence_s: int
    """Between two pieces of an answer, before a call is tried again."""
    retries: bool
    """Whether calls are tried as often as packager thinks right, since nobody else says."""

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`."""
        return self.partition_of(self.region)

    def partition_of(self, region: str) -> str:
        """Raise `ConfigError` for a Region that can not be."""
        with explained(f"{region} is not a Region of AWS", fix="name one as in us-east-1"):
            return str(self.sdk.get_partition_for_region(region))

    def client(
        self,
        service: str,
        *,
        connections: int = 10,
        region: str | None = None,
        s3: Mapping[str, Any] | None = None,
    ) -> Any:
        """Of one service, as botocore names it; `connections` is how many threads will use it.

        `s3` has settings of that service, beside those of the user.

        Raise `CommandError` or `ConfigError` for what the SDK can not be set up with.
        """
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=self.silence_s,
            max_pool_connections=connections,
            user_agent_extra=f"packager/{__version__}",
            retries={"mode": "standard", "total_max_attempts": TRIES} if self.retries else None,
            # Only if it is asked for: else ~/.aws/config may, and S3 at an IP address does.
            s3={**(s3 or {}), **({"addressing_style": "path"} if self.path_style else {})},
        )
        with explained(f"no connection to AWS can be set up for {service}"):
            return self.sdk.create_client(service, region_name=region or self.region, config=config)

    def account(self) -> str:
        """The number of the account. Raise `CommandError` where nobody is known to AWS."""
        return self.identity()[0]

    def identity(self) -> tuple[str, str]:
        """The account's number, and the ARN of who asks."""
        with explained("AWS does not tell who you are", permission="sts:GetCallerIdentity"):
            said = self.client("sts").get_caller_identity()
        return said["Account"], said["Arn"]


def open_session(settings: Settings, env: Mapping[str, str]) -> Session:
    """Raise `ConfigError` for a profile or Region that is not there, `CommandError` for others."""
    from botocore.session import Session as Sdk

    # The command line reads both variables, the SDK for Python only the second.
    region = settings.region or env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
    with explained("the AWS settings can not be read"):
        sdk = Sdk(profile=settings.profile)
        if region:
            sdk.set_config_variable("region", region)
        set_up = sdk.get_scoped_config()
        region = sdk.get_config_variable("region")
    if not region:
        raise ConfigError(
            "no AWS Region is given",
            why="neither a setting, nor AWS_REGION, nor the profile names one",
            fix='add region = "us-east-1" to [tool.packager], or use --region',
        )
    retries = ("retry_mode", "max_attempts")
    return Session(
        sdk=sdk,
        region=region,
        path_style=settings.path_style,
        silence_s=settings.aws_timeout,
        retries=not any(name in set_up or env.get(f"AWS_{name.upper()}") for name in retries),
    )
