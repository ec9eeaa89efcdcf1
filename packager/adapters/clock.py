"""The machine's clock, as far as it only goes forwards."""

import time


class SteadyClock:
    """Implements `packager.jobs.ports.Clock`."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
