"""A further kind of account is its own classes and a row in each of the registries; nothing else names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from accounts.adding.forms import KeyForm
from accounts.adding.keys import GivenKey, add
from accounts.kinds import registry as kinds
from accounts.kinds.anthropic import Anthropic
from accounts.models import Account
from gateway.upstreams import registry as upstreams
from gateway.upstreams.anthropic.upstream import AnthropicApi
from tests.gateway.conftest import in_database
from tests.gateway.kinds.conftest import KEYS, sdk

if TYPE_CHECKING:
    from tests.gateway.kinds.conftest import OpenGateway

SONNET = "claude-sonnet-4-6"
HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
NAME = "further"


class FurtherKind(Anthropic):
    title, noun, provider = "Further API key", "Further key", "Further"


class FurtherApi(AnthropicApi):
    pass


@pytest.fixture
def further(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows."""
    kind = FurtherKind()
    monkeypatch.setitem(kinds.KINDS, NAME, kind)
    monkeypatch.setitem(kinds.KEYED, NAME, kind)
    monkeypatch.setitem(upstreams.UPSTREAMS, NAME, FurtherApi)


async def test_rows_in_two_registries_make_a_kind(further: None, open_gateway: OpenGateway) -> None:
    added = await in_database(add)(GivenKey(NAME, KEYS["anthropic"]))

    async with open_gateway() as gateway, sdk(gateway) as client:
        message = await client.messages.create(model=SONNET, max_tokens=1000, messages=HELLO)
        listed = [model async for model in client.models.list()]

    assert (str(added.account), added.account.kind) == ("Further key 1", NAME)
    assert message.stop_reason == "end_turn"
    assert SONNET in {model.id for model in listed}


def test_its_pages_need_no_further_line(further: None, db: None) -> None:
    form = KeyForm(kind=NAME)
    account = Account(kind=NAME, given_name="Further key 1")

    assert list(form.fields) == ["key", "quota_group", "label", "unchecked"]
    assert str(account) == "Further key 1"


def test_each_row_is_a_class_in_a_place_of_its_own() -> None:
    own_files = {kind: type(row).__module__ for kind, row in kinds.KINDS.items()}
    own_folders = {kind: row.__module__ for kind, row in upstreams.UPSTREAMS.items()}

    folders = {kind: "cloud_code" if kind == "google" else kind for kind in kinds.KINDS}
    assert own_files == {kind: f"accounts.kinds.{kind}" for kind in folders}
    assert own_folders == {kind: f"gateway.upstreams.{name}.upstream" for kind, name in folders.items()}
