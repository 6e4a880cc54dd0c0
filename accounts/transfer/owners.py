"""Lookup of the e-mail address of a refresh token at Google, for rows whose file names none."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from asgiref.sync import async_to_sync
from django.conf import settings

from accounts.google.oauth import ClientSecretWrong, SignInExpired, TokenEndpointDown, refresh_access_token
from accounts.network import AccountsClient, CallFailed
from accounts.values.emails import parse_email
from accounts.values.outside import NotJson, parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from accounts.transfer.rows import Row

CONCURRENT_LOOKUPS = 8


class _OwnerUnknown(Exception):
    """Google's userinfo gave no e-mail address; the text continues the row's problem."""


def lacks_owner(row: Row) -> bool:
    return not row.email and not row.problem


def find_owners(rows: Sequence[Row], on_done: Callable[[Row], None] = lambda row: None) -> list[Row]:
    """The rows with their e-mail addresses, or with a problem where Google gives none.

    Rows that have an address or a problem are unchanged, and nothing of them is sent. `on_done` is called
    with each of the others.
    """
    return async_to_sync(_find_all)(rows, on_done)


async def _find_all(rows: Sequence[Row], on_done: Callable[[Row], None]) -> list[Row]:
    client = AccountsClient()
    slots = asyncio.Semaphore(CONCURRENT_LOOKUPS)

    async def find(row: Row) -> Row:
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


async def _find(client: AccountsClient, row: Row) -> Row:
    try:
        grant = await refresh_access_token(client, row.refresh_token)
        email = await _ask_userinfo(client, grant.access_token)
    except (SignInExpired, ClientSecretWrong, TokenEndpointDown, _OwnerUnknown) as error:
        return replace(row, problem=f"it has no e-mail, and Google could not be asked for it: {error}")
    return replace(row, email=email, refresh_token=grant.refresh_token or row.refresh_token)


async def _ask_userinfo(client: AccountsClient, access_token: str) -> str:
    """The e-mail address from OAUTH_USERINFO_URL. Raises _OwnerUnknown."""
    bearer = {"Authorization": f"Bearer {access_token}"}
    try:
        answer = await client.get(settings.OAUTH_USERINFO_URL, headers=bearer)
        person = parse_json(answer.content) if answer.status == 200 else {}
    except CallFailed as error:
        raise _OwnerUnknown(f"Google's userinfo {error}.") from error
    except NotJson:
        person = {}
    email = parse_email(person.get("email")) if isinstance(person, dict) else None
    if email is None:
        raise _OwnerUnknown("Google did not say whose account it is.")
    return email
