"""Kinds of account: what each promises, and that both registries have a row for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from accounts.credentials.access_tokens import AccessTokens
from accounts.kinds.base import OwnerUnknown
from accounts.kinds.registry import KINDS
from accounts.models import Account
from accounts.network import AccountsClient
from accounts.transfer.readers import READERS
from gateway.upstreams.registry import UPSTREAMS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy_site.emulator.server import EmulatorServer

GOOGLE = KINDS["google"]


@pytest.fixture
async def client() -> AsyncIterator[AccountsClient]:
    client = AccountsClient()
    yield client
    await client.close()


def test_each_kind_has_an_upstream() -> None:
    assert list(KINDS) == list(UPSTREAMS)


def test_the_permitted_kinds_come_first() -> None:
    assert [bool(kind.notice) for kind in KINDS.values()] == [False, False, False, True]


def test_the_default_kind_and_those_of_imports_are_known() -> None:
    assert Account().kind in KINDS
    assert {reader.kind for reader in READERS} <= KINDS.keys()


def test_a_credential_is_stored_under_the_field_of_its_kind(db: None) -> None:
    account = Account(email="ada@example.com")
    account.credential = GOOGLE.credential("1//ada")
    account.save()

    assert Account.objects.get().credential == {"refresh_token": "1//ada"}


@pytest.mark.django_db(transaction=True)
async def test_a_refused_access_is_replaced_by_another(ada: Account, client: AccountsClient) -> None:
    tokens = AccessTokens(client)
    ada.project_id = "a-project"
    first = await GOOGLE.access(tokens, ada)
    assert await GOOGLE.access(tokens, ada) == first

    GOOGLE.forget(tokens, ada.pk, first)
    second = await GOOGLE.access(tokens, ada)
    third = await GOOGLE.access(tokens, ada, renewed=True)

    assert len({one.secret for one in (first, second, third)}) == 3
    assert third.details == {"project_id": "a-project"}
    assert third.secret not in repr(third)


@pytest.mark.django_db(transaction=True)
async def test_an_inspection_finds_project_tier_and_models(ada: Account, client: AccountsClient) -> None:
    access = await GOOGLE.access(AccessTokens(client), ada)

    inspection = await GOOGLE.inspect(client, access, with_tier=True)

    assert inspection.project_id == "emulator-project-ada"
    assert inspection.tier != "unknown"
    assert "claude-sonnet-4-6" in inspection.offers


async def test_the_owner_of_a_refresh_token_is_found(google: EmulatorServer, client: AccountsClient) -> None:
    token = google.state.account("ada@example.com").refresh_token

    assert await GOOGLE.find_owner(client, token) == ("ada@example.com", token)


@pytest.mark.parametrize("secret", ["", "1//unknown", "\u0661" * 5000, "a\nb"])
async def test_the_owner_of_a_refused_secret_is_unknown(
    secret: str, google: EmulatorServer, client: AccountsClient
) -> None:
    with pytest.raises(OwnerUnknown):
        await GOOGLE.find_owner(client, secret)
