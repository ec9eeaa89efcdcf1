"""From where an image is taken: `registry:` and `docker:` before its name say it, else it is found.

Without one, the engine is asked first; what it does not have
is looked for in the registry that the name begins with. Docker Hub is only asked where it is named,
since `jobs:1` is nearly always an image that somebody built here.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packager.adapters.endpoints import endpoints
from packager.adapters.engine import image_id
from packager.adapters.imagesources.engine import AbsentError, EngineImages
from packager.adapters.imagesources.registry import RegistryImages
from packager.imagevalidation import ENGINE, REGISTRY
from packager.layershelf import Shelf
from packager.oci import Blobs
from packager.references import DOCKER_HUB, parse_reference


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenImages:
    """The engine's images, or else those of registries."""

    engine: EngineImages
    registry: RegistryImages

    @contextlib.contextmanager
    def opened(self, named: str, platform: str, shelf: Shelf) -> Iterator[Blobs]:
        with contextlib.ExitStack() as stack:
            yield stack.enter_context(self._found(named, platform, shelf, stack))

    def has(self, reference: str) -> bool:
        """Asked quickly, and no where that is not possible."""
        return bool(image_id(self.engine.env, reference))

    def _found(
        self, named: str, platform: str, shelf: Shelf, stack: contextlib.ExitStack
    ) -> contextlib.AbstractContextManager[Blobs]:
        if named.startswith(REGISTRY):
            return self.registry.opened(named.removeprefix(REGISTRY), platform, shelf)
        if named.startswith(ENGINE):
            return self.engine.opened(named.removeprefix(ENGINE), platform, shelf)
        in_registry = named.partition("/")[0] != named and parse_reference(named).host != DOCKER_HUB
        if in_registry and not engine_is_near(self.engine.env):
            return self.registry.opened(named, platform, shelf)
        try:
            found = stack.enter_context(self.engine.opened(named, platform, shelf))
        except AbsentError:
            if not in_registry:
                raise
            return self.registry.opened(named, platform, shelf)
        return contextlib.nullcontext(found)


def engine_is_near(env: Mapping[str, str]) -> bool:
    """Whether an engine was chosen, or listens where engines do."""
    return any(one.chosen or one.socket is None or one.socket.exists() for one in endpoints(env))
