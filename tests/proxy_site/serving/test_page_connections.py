from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections

from proxy_site.serving.page_connections import ClosingConnections

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

pytestmark = pytest.mark.django_db(transaction=True)


async def nothing(*_: Any) -> Any:
    """Receives and sends."""


class Page:
    """Asks the database, and ends as it is told."""

    def __init__(self, error: type[BaseException] | None = None) -> None:
        self.connection: BaseDatabaseWrapper | None = None
        self._error = error

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await sync_to_async(self._ask)()
        if self._error is not None:
            raise self._error

    def _ask(self) -> None:
        connection.ensure_connection()
        self.connection = connections["default"]

    @property
    def is_connected(self) -> bool:
        assert self.connection is not None
        return self.connection.connection is not None


async def test_a_page_leaves_no_connection_behind() -> None:
    page = Page()

    await ClosingConnections(page)({}, nothing, nothing)

    assert not page.is_connected


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_a_page_that_fails_or_is_left_leaves_none_either(error: type[BaseException]) -> None:
    page = Page(error)

    with pytest.raises(error):
        await ClosingConnections(page)({}, nothing, nothing)

    assert not page.is_connected
