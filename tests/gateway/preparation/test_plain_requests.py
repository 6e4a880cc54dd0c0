"""A request that is read quickly is answered as any other: by the same request, or by the same error."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bodies.request_json import parse_json
from gateway.bodies.shape import refuse_depth
from gateway.errors import InvalidRequest
from gateway.ledger.signature_store import StoredSignatures
from gateway.preparation.request import summarize
from gateway.preparation.translator import RequestTranslator
from gateway.preparation.workers import TranslationWorkers
from gateway.routing.token_ratios import TokenRatios
from gateway.translation.request.request import TranslationOptions, translate_request
from gateway.translation.signature_families import SignatureCache
from gateway.translation.tokens.token_estimate import estimate_input
from tests.builders import a_model
from tests.gateway.dialects.anthropic.test_hostile_bodies import JSON, paths_in, replaced
from tests.gateway.dialects.anthropic.test_plain_requests import PLAIN
from tests.gateway.preparation.conftest import PARSER
from tests.gateway.translation.request.conversation_examples import Conversation, conversations

TRANSLATOR = RequestTranslator(
    StoredSignatures(lambda tool_use_id, signature: None), TokenRatios(), TranslationWorkers()
)


def read(body: bytes) -> Any:
    """Without an event loop, which no small request needs."""
    try:
        TRANSLATOR.read(body, PARSER).send(None)
    except StopIteration as done:
        return tuple(done.value)
    except InvalidRequest as error:
        return error.message
    raise AssertionError("the request was not read at once")


def read_by_the_table(body: bytes) -> Any:
    try:
        value = parse_json(body)
        refuse_depth(value)
        request = PARSER.parse(value)
    except InvalidRequest as error:
        return error.message
    return request, summarize(request)


@given(st.data())
@settings(max_examples=300)
def test_a_request_or_its_error_is_the_same(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(paths_in(PLAIN))))
    body = orjson.dumps(replaced(PLAIN, path, data.draw(JSON)))

    assert read(body) == read_by_the_table(body)


@given(st.integers(0, 400), st.binary(max_size=3))
@settings(max_examples=300)
def test_a_damaged_body_gets_the_same_error(at: int, damage: bytes) -> None:
    body = orjson.dumps(PLAIN)
    body = body[:at] + damage + body[at + len(damage) :]

    assert read(body) == read_by_the_table(body)


@given(conversations())
@settings(max_examples=300)
def test_google_is_sent_the_same_json(talk: Conversation) -> None:
    body, model = orjson.dumps(talk.body), a_model(talk.target, talk.header_mode)

    quickly, by_the_table = read(body)[0], read_by_the_table(body)[0]

    assert estimate_input(quickly, model.family) == estimate_input(by_the_table, model.family)
    first, second = (
        translate_request(request, model, TranslationOptions(), SignatureCache())
        for request in (quickly, by_the_table)
    )
    assert orjson.dumps(first.request) == orjson.dumps(second.request)
    assert first.input_token_estimate == second.input_token_estimate
