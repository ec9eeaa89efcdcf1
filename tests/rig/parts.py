"""What the rig consists of, in the order in which one part needs the other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.rig import engine, registry, stand_in
from tests.rig.engine import MACHINES_OWN, Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    lacking: Callable[[Engine], str]
    """Why tests cannot use it; nothing when they can."""
    bring_up: Callable[[Engine], None]
    """Does what is needed and no more; RigError, when that is not enough."""


PARTS: Final = (
    Part(name="engine", lacking=engine.lacking, bring_up=engine.bring_up),
    Part(name="registry", lacking=registry.lacking, bring_up=registry.bring_up),
    Part(name=stand_in.image(), lacking=stand_in.lacking, bring_up=stand_in.bring_up),
)


def lacking(chosen: Engine = MACHINES_OWN) -> str:
    """The first thing that keeps tests from running."""
    return next((reason for part in PARTS if (reason := part.lacking(chosen))), "")
