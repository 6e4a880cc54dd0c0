"""Lookup of the e-mail address of a refresh token at Google, for rows whose file names none."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from asgiref.sync import async_to_sync

from accounts.kinds.base import OwnerUnknown
from accounts.kinds.registry import KINDS
from accounts.network import AccountsClient
from accounts.transfer.rows import CLOUD_CODE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from accounts.transfer.rows import ImportedRow

CONCURRENT_LOOKUPS = 8


def lacks_owner(row: ImportedRow) -> bool:
    return row.kind == CLOUD_CODE and not row.email and not row.problem


def find_owners(
    rows: Sequence[ImportedRow], on_done: Callable[[ImportedRow], None] = lambda row: None
) -> list[ImportedRow]:
    """Return the rows with their e-mail addresses, or with a problem where Google names none. Rows that have
    an address or a problem already are not changed or sent. `on_done` is called after each other row."""
    return async_to_sync(_find_all)(rows, on_done)


async def _find_all(rows: Sequence[ImportedRow], on_done: Callable[[ImportedRow], None]) -> list[ImportedRow]:
    client = AccountsClient()
    slots = asyncio.Semaphore(CONCURRENT_LOOKUPS)

    async def find(row: ImportedRow) -> ImportedRow:
        if not lacks_owner(row):
            return row
        async with slots:
            found = await _find(client, row)
        on_done(found)
        return found

    try:
        return await asyncio.gather(*(find(row) for row in rows))
    finally:
        await client.close()


async def _find(client: AccountsClient, row: ImportedRow) -> ImportedRow:
    try:
        email, secret = await KINDS[row.kind].find_owner(client, row.refresh_token)
    except OwnerUnknown as error:
        return replace(row, problem=f"it has no e-mail, and Google could not be asked for it: {error}")
    return replace(row, email=email, refresh_token=secret)
