"""The stand-in tells the forty calls apart by the real prompt alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.safeguards.calls import KNOWN_CALLS
from tests.safeguards.stand_in import outcome_of

if TYPE_CHECKING:
    from gateway.safeguards.known_calls import KnownCall

RULED = [call for call in KNOWN_CALLS if any(call.context["auto_mode"].values())]
NO_RULES: dict[str, list[str]] = {"allow": [], "soft_deny": [], "hard_deny": [], "environment": []}


@pytest.mark.parametrize("call", KNOWN_CALLS, ids=lambda call: call.name)
def test_the_stand_in_judges_as_expected(call: KnownCall) -> None:
    assert outcome_of(call) == call.expected


@pytest.mark.parametrize("call", RULED, ids=lambda call: call.name)
def test_the_persons_own_rules_turn_the_decision(call: KnownCall) -> None:
    without = {
        **call.context,
        "auto_mode": {"allow": [], "soft_deny": [], "hard_deny": [], "environment": []},
    }

    assert outcome_of(replace(call, context=without)) != call.expected
