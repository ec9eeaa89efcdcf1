"""The outside world: one module for each thing that is not ours."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from packager.ports import Ports


def connect(
    *, root: Path, cache_dir: str | None, env: Mapping[str, str], say: Callable[[str], None]
) -> Ports:
    """The real parts for the project at `root`: the only place that picks them."""
    from uv import find_uv_bin

    from packager.adapters import process
    from packager.adapters.builder import BackendBuilder
    from packager.adapters.credentials import known_credentials
    from packager.adapters.fetch import Fetcher
    from packager.adapters.store import Store
    from packager.adapters.uv import Uv
    from packager.adapters.worktree import commit_of

    fetcher = Fetcher(
        credentials=functools.cache(lambda: known_credentials(root, env)),
        # uv's variable and pip's; those of `requests` itself come first, as it reads them last.
        authorities=next(
            (
                env[name]
                for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT")
                if env.get(name)
            ),
            None,
        ),
    )
    store = Store(root=store_root(cache_dir), fetcher=fetcher, say=say)

    def stop() -> None:
        fetcher.stop()
        process.end_all()

    return Ports(
        resolver=Uv(env=env, binary=find_uv_bin()),
        store=store,
        builder=BackendBuilder(store=store, env=env, say=say),
        stop=stop,
        commit=lambda folder: commit_of(folder, env),
    )


def store_root(cache_dir: str | None) -> Path:
    """Where the wheel store lies."""
    from platformdirs import user_cache_path

    return Path(cache_dir).expanduser() if cache_dir else user_cache_path("packager")
