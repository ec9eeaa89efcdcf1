"""Time for tests that wait: it passes when somebody sleeps."""

from dataclasses import dataclass, field

from tests.rig.emrserverless.service import Service


@dataclass(slots=True, kw_only=True)
class RigClock:
    """The rig's clock, as packager's; it can jump, and be interrupted."""

    service: Service
    interrupts: list[float] = field(default_factory=list)
    """When Ctrl-C is pressed, by the rig's clock."""
    jump: float = 0
    """Seconds that each look at the clock is ahead of the one before, besides."""
    slept: list[float] = field(default_factory=list)
    _ahead: float = 0

    def monotonic(self) -> float:
        self._ahead += self.jump
        return self.service.now + self._ahead

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        end = self.service.now + seconds
        due = [t for t in self.interrupts if t <= end]
        if due:
            self.interrupts.remove(due[0])
            self.service.advance(max(0.0, due[0] - self.service.now))
            raise KeyboardInterrupt
        self.service.advance(seconds)
        if len(self.slept) > 5000:
            raise AssertionError("it waits for ever")
