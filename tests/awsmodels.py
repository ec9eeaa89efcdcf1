"""The service models that botocore ships, for tests that judge requests by them."""

import gzip
import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def service_model(service: str) -> dict[str, Any]:
    """The newest model of a service, named as botocore names it, e.g. `emr-serverless`."""
    folder = files("botocore") / "data" / service
    newest = max((entry for entry in folder.iterdir() if entry.is_dir()), key=lambda e: e.name)
    return dict(json.loads(gzip.decompress((newest / "service-2.json.gz").read_bytes())))
