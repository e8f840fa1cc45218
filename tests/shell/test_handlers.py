"""What kopf is given: credentials that were refused are not given to it again where there are others."""

from __future__ import annotations

from typing import Any

import kopf
import pytest
from kubernetes.aio.client import Configuration

from kvsync.adapters.kube.access import SHORTEST_RELOAD, Access, Loaded
from kvsync.shell.handlers import make_registry


class File:
    """A token that somebody replaces."""

    def __init__(self) -> None:
        self.token, self.now = "one", 1000.0

    async def load(self) -> Loaded:
        configuration = Configuration()
        configuration.api_key = {"BearerToken": f"Bearer {self.token}"}
        return Loaded(configuration, "default")


async def logged_in(registry: kopf.OperatorRegistry) -> Any:
    (handler,) = registry._activities.get_all_handlers()
    login: Any = handler.fn
    return (await login()).token


@pytest.fixture
def file() -> File:
    return File()


async def test_a_token_that_was_refused_is_looked_for_anew(file: File) -> None:
    access = Access(await file.load(), file.load, lambda: file.now)
    registry = make_registry(lambda key, body: None, access)
    assert await logged_in(registry) == "one"
    file.token = "two"
    file.now += SHORTEST_RELOAD
    assert await logged_in(registry) == "two", "though nobody else met a 401 yet"


async def test_where_there_is_no_other_the_same_is_given(file: File) -> None:
    access = Access(await file.load(), file.load, lambda: file.now)
    registry = make_registry(lambda key, body: None, access)
    assert [await logged_in(registry) for _ in range(2)] == ["one", "one"]
