"""What a compatible server takes, from what is stored and what the operator enters."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.values.switches import RULES, NoSwitches, Switches, checked
from tests.accounts.values.any_json import ANYTHING


def test_what_the_operator_sets_wins() -> None:
    switches = Switches.of({"thinking": False, "auth": "x-api-key"}, {"thinking": True})

    assert (switches.thinking, switches.auth) == (True, "x-api-key")
    later = switches.after({"thinking": False, "documents": False})
    assert (later.thinking, later.documents) == (True, False)


def test_pages_tell_what_was_learned_and_set() -> None:
    switches = Switches.of({"documents": False}, {"betas": ["context-1m-2025-08-07"], "thinking": True})

    assert switches.told() == [
        ("documents", "no", False),
        ("thinking", "yes", True),
        ("betas", "context-1m-2025-08-07", True),
    ]
    assert Switches().told() == []


@pytest.mark.parametrize(
    "values",
    [
        [], "", None, {"thinking": 1}, {"thinking": "no"}, {"auth": "basic"}, {"auth": []}, {"betas": "all"},
        {"betas": ["a,b"]}, {"betas": ["a\r\nx: y"]},
        {"betas": ["x"] * 51}, {"fixed": []}, {"max_requests": 0}, {"max_requests": True},
        {"context_window": "1"}, {"first_byte_seconds": 3601}, {"x" * 9999: True},
    ],
)  # fmt: skip
def test_what_is_no_switch_is_refused(values: Any) -> None:
    with pytest.raises(NoSwitches) as refused:
        checked(values)
    assert len(str(refused.value)) < 300


@given(learned=ANYTHING, ours=st.one_of(ANYTHING, st.dictionaries(st.sampled_from(list(RULES)), ANYTHING)))
@settings(max_examples=100)
def test_whatever_is_stored_makes_switches(learned: Any, ours: Any) -> None:
    switches = Switches.of(learned, ours)

    assert switches.fixed <= RULES.keys()
    assert all(isinstance(value, str) for _, value, _ in switches.told())
