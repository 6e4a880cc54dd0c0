"""The demo's history and its live requests agree with what the gateway chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy_site.demo import turns
from proxy_site.demo.turns import Model
from tests.gateway.conftest import started_gateway

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer

MODELS = [one for one in vars(turns).values() if isinstance(one, Model)]


@pytest.mark.django_db(transaction=True)
async def test_the_names_of_the_history_are_answered_as_the_history_says(demo: EmulatorServer) -> None:
    async with started_gateway() as gateway:
        chosen = {one.asked_for: gateway.relay.choice.named(one.asked_for, None).models for one in MODELS}
        kinds = {kind: gateway.relay.choice.named(kind, None).models for kind in ("opus", "sonnet", "haiku")}

    assert len(MODELS) >= 5
    assert {name: models["google"].listed_id for name, models in chosen.items()} == {
        one.asked_for: one.answers for one in MODELS
    }
    assert [models["google"].listed_id for models in kinds.values()] == [
        one.answers for one in (turns.OPUS, turns.SONNET, turns.HAIKU)
    ]
