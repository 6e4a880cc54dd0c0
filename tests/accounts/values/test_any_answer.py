"""Each reader of Google's answers about accounts, fed with whatever could come."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.google.code_assist import (
    CodeAssistFailed,
    fetch_available_models,
    load_code_assist,
    onboard_user,
    retrieve_cli_quota,
)
from accounts.google.error_bodies import MAX_WAIT_SECONDS, MIN_WAIT_SECONDS
from accounts.google.errors import parse_error
from accounts.google.oauth import ClientSecretWrong, SignInExpired, TokenEndpointDown, refresh_access_token
from accounts.network import AccountsClient, WholeAnswer
from accounts.values.sanitize import UNSAFE
from tests.accounts.values.any_json import ANYTHING, ERROR, HEADERS, TEXTS, encoded, like, several

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from accounts.offers import ModelOffer

NOW = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)


class ClientThatHears(AccountsClient):
    """Gets this answer to every call."""

    def __init__(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        super().__init__()
        self._heard = WholeAnswer(status, headers or {}, content)

    async def post(self, url: str, **kwargs: Any) -> WholeAnswer:
        return self._heard


Found = TypeVar("Found")


def result(work: Coroutine[Any, Any, Found], *named: type[Exception]) -> Found | None:
    """None when it fails with one of the exceptions that it names."""
    with suppress(*named):
        return asyncio.run(work)
    return None


def assert_presentable(text: str, longest: int) -> None:
    """May be stored, printed and logged."""
    assert len(text) <= longest
    assert not UNSAFE.search(text)
    text.encode()


# Errors


@settings(max_examples=300)
@given(st.integers(300, 999), (ERROR | ANYTHING).map(encoded) | st.binary(), HEADERS)
def test_a_refusal_of_any_shape_can_be_shown_and_stored(
    status: int, raw: bytes, headers: dict[str, str]
) -> None:
    error = parse_error(status, raw, headers, NOW)

    assert_presentable(error.message, 2000)
    assert_presentable(error.link, 2000)
    assert_presentable(error.reason, 200)
    wait = error.wait_seconds
    assert wait is None or MIN_WAIT_SECONDS <= wait <= MAX_WAIT_SECONDS


# Tokens

GRANT = like(
    access_token=TEXTS | st.just("fresh"), expires_in=st.floats() | st.integers(), refresh_token=TEXTS
)


@settings(max_examples=300)
@given(st.sampled_from([200, 400, 401, 500]), (GRANT | like(error=TEXTS)).map(encoded) | st.binary())
def test_any_token_answer_gives_a_usable_token_or_fails(status: int, raw: bytes) -> None:
    grant = result(
        refresh_access_token(ClientThatHears(status, raw), "refresh-token"),
        SignInExpired, ClientSecretWrong, TokenEndpointDown,
    )  # fmt: skip

    if grant is not None:
        for token in (grant.access_token, grant.refresh_token or "none"):
            assert token.isascii()
            assert token.isprintable()
            assert token
        assert math.isfinite(grant.lifetime_seconds)
        assert 1 <= grant.lifetime_seconds <= 24 * 3600


# Projects and models

TIER = like(id=TEXTS, isDefault=st.booleans(), tierId=TEXTS, reasonCode=TEXTS, validationUrl=TEXTS)
PROJECT = TEXTS | like(id=TEXTS)
ASSIGNMENT = like(
    cloudaicompanionProject=PROJECT,
    paidTier=TIER,
    currentTier=TIER,
    allowedTiers=several(TIER),
    ineligibleTiers=several(TIER),
)
OPERATION = like(response=like(cloudaicompanionProject=PROJECT)).map(lambda said: {**said, "done": True})
QUOTA = like(remainingFraction=st.floats() | st.integers(), resetTime=TEXTS)
MODEL = like(displayName=TEXTS, maxTokens=st.integers(), maxOutputTokens=st.integers(), quotaInfo=QUOTA)
MODELS = like(models=st.dictionaries(TEXTS, MODEL, max_size=3), webSearchModelIds=several(TEXTS))
BUCKETS = like(buckets=several(like(modelId=TEXTS, remainingFraction=st.floats(), resetTime=TEXTS)))


@settings(max_examples=300)
@given((ASSIGNMENT | ANYTHING).map(encoded) | st.binary())
def test_any_project_answer_can_be_stored_or_fails(raw: bytes) -> None:
    assignment = result(load_code_assist(ClientThatHears(200, raw), "token"), CodeAssistFailed)

    if assignment is not None:
        assert_presentable(assignment.project_id, 200)
        assert_presentable(assignment.onboarding_tier_id, 200)
        assert_presentable(assignment.verification_link, 2000)
        assert assignment.tier in {"ultra", "pro", "free", "unknown"}


@settings(max_examples=300)
@given(OPERATION.map(encoded))
def test_any_created_project_can_be_stored_or_fails(raw: bytes) -> None:
    project_id = result(onboard_user(ClientThatHears(200, raw), "token", "free-tier"), CodeAssistFailed)

    if project_id is not None:
        assert_presentable(project_id, 200)


@settings(max_examples=300)
@given((MODELS | ANYTHING).map(encoded) | st.binary())
def test_any_list_of_models_can_be_stored_or_fails(raw: bytes) -> None:
    offers = result(fetch_available_models(ClientThatHears(200, raw), "token", ""), CodeAssistFailed)

    assert_sane(offers or {})


@settings(max_examples=300)
@given((BUCKETS | ANYTHING).map(encoded) | st.binary())
def test_any_list_of_quotas_can_be_stored_or_fails(raw: bytes) -> None:
    offers = result(retrieve_cli_quota(ClientThatHears(200, raw), "token", ""), CodeAssistFailed)

    assert_sane(offers or {})


def assert_sane(offers: dict[str, ModelOffer]) -> None:
    for model_id, offer in offers.items():
        assert model_id == offer.id
        assert_presentable(offer.id, 100)
        assert_presentable(offer.display_name, 200)
        for tokens in (offer.max_input_tokens, offer.max_output_tokens):
            assert tokens is None or 1 <= tokens <= 2**31
        assert offer.remaining_fraction is None or 0 <= offer.remaining_fraction <= 1
        assert offer.reset_at is None or 2000 <= offer.reset_at.year < 2100


@pytest.mark.parametrize("answer", [{"models": {f"m{number}": {} for number in range(2001)}}, {"models": []}])
def test_an_invalid_list_is_refused(answer: Any) -> None:
    client = ClientThatHears(200, orjson.dumps(answer))

    with pytest.raises(CodeAssistFailed):
        asyncio.run(fetch_available_models(client, "token", ""))


def test_a_list_of_too_many_quotas_is_refused() -> None:
    client = ClientThatHears(200, orjson.dumps({"buckets": [{"modelId": "m"}] * 2001}))

    with pytest.raises(CodeAssistFailed):
        asyncio.run(retrieve_cli_quota(client, "token", ""))
