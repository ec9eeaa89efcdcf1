"""Applications as EMR Serverless tells of them."""

from collections.abc import Mapping
from typing import Any

import pytest

from packager.errors import CommandError
from packager.jobs.applications import listed


class SomethingElse:
    """Answers every call, as a server behind `AWS_ENDPOINT_URL` may."""

    def call(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"asked": operation, **request}


def test_an_answer_of_something_else_is_told() -> None:
    with pytest.raises(CommandError, match="answers ListApplications without applications"):
        list(listed(SomethingElse()))
