"""The demo's history and its live requests agree with what the gateway chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db.models import Q

from accounts.live_settings import live
from gateway.models import RequestLog
from gateway.routing.resolution import fallback_chain
from proxy_site.demo import turns
from proxy_site.demo.quotas import ADA, GRACE, LINUS
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


@pytest.mark.django_db(transaction=True)
async def test_the_limits_of_the_history_ended_as_the_gateway_would_end_them(demo: EmulatorServer) -> None:
    of_limits = RequestLog.objects.filter(Q(fallback=True) | Q(problem="rate_limit_error"))
    rows = [row async for row in of_limits.prefetch_related("tries")]
    async with started_gateway() as gateway:
        offered, has_fallback = gateway.accounts.offered_models(), live("FALLBACK")
        chosen = {row.client_model: gateway.relay.choice.named(row.client_model, None).models for row in rows}

    assert has_fallback
    assert len(rows) == 4
    for row in rows:
        models = chosen[row.client_model]
        fallbacks = fallback_chain(models["google"].listed_id, offered, thinking=None)
        refused = [one.account for one in row.tries.all() if one.reason == "rate limit"]
        assert set(models) == {"google"}, "no key was tried"
        assert sorted(refused) == [ADA, GRACE, LINUS]
        assert fallbacks[:1] == ([row.upstream_model] if row.fallback else [])
