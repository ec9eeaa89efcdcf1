"""The machine's clock."""

import time


class SteadyClock:
    """Implements `packager.jobs.ports.Clock`."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def now() -> float:
    """Seconds since 1970, as this machine thinks."""
    return time.time()  # noqa: TID251  # this is where it comes from
