"""The model calls: authentication, permission, checks of the request, and the answer."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from proxy_site.emulator import google_errors
from proxy_site.emulator.delivery.framing import as_events, reshaped, truncated
from proxy_site.emulator.exchange import JSON, send
from proxy_site.emulator.methods import pretend_web
from proxy_site.emulator.models import MODELS, Model
from proxy_site.emulator.pretend_model import brain, judge
from proxy_site.emulator.pretend_model.replies import (
    Usage,
    chunks_of,
    count_parts,
    merged,
    signed,
    text,
    within_limits,
)
from proxy_site.emulator.rules.search_rules import asks_to_search
from proxy_site.emulator.rules.validator import check_generate, parse_generate

if TYPE_CHECKING:
    from aiohttp import web

    from proxy_site.emulator.accounts import Account
    from proxy_site.emulator.google_errors import Json
    from proxy_site.emulator.methods.google_exchange import GoogleExchange
    from proxy_site.emulator.state import EmulatorState


@dataclass(frozen=True)
class Call:
    """A request that has passed every check. ``request`` has camelCase names."""

    model: Model
    request: Json


async def stream_generate_content(exchange: GoogleExchange) -> web.StreamResponse:
    call = accept(exchange)
    exchange.response_headers["X-Cloudaicompanion-Trace-Id"] = secrets.token_hex(8)
    behaviour = exchange.behaviour
    chunks = reshaped(_chunks(exchange, call), behaviour)
    return await send(exchange, truncated(as_events(chunks, behaviour), behaviour), "text/event-stream")


async def generate_content(exchange: GoogleExchange) -> web.StreamResponse:
    call = accept(exchange)
    answer = merged(_chunks(exchange, call))
    body = truncated([orjson.dumps(answer)], exchange.behaviour)
    return await send(exchange, body, JSON)


# Checks


def accept(exchange: GoogleExchange) -> Call:
    """Check in Google's order: the account, its permissions, the request, the remaining quota."""
    account = exchange.usable_account
    _check_client_version(exchange)
    parsed = parse_generate(exchange.json())
    _check_project(account, parsed["project"])
    check_generate(parsed, exchange.state.signatures, exchange.state.tokenizers)
    model = MODELS[parsed["model"]]
    if not model.is_listed_in(exchange.mode) or model.id in account.withheld_models:
        raise google_errors.not_found()
    if asks_to_search(parsed["request"]) and model.id not in account.web_search_models:
        raise google_errors.search_not_supported()
    exchange.state.take_quota(account, model, exchange.mode)
    return Call(model, parsed["request"])


def _check_project(account: Account, project: str) -> None:
    if project != account.project:
        raise google_errors.wrong_project(project)


def _check_client_version(exchange: GoogleExchange) -> None:
    """Check the client's version. Newer models require a newer client; only antigravity user agents have a
    known version."""
    minimum = exchange.state.minimum_client_version
    found = re.match(r"antigravity/(?:hub/)?([\d.]+)", exchange.web_request.headers.get("User-Agent", ""))
    if minimum and found and version_of(found.group(1)) < version_of(minimum):
        raise google_errors.unsupported_client(minimum)


def version_of(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(".") if number)


# The answer


def _chunks(exchange: GoogleExchange, call: Call) -> list[Json]:
    if exchange.script.chunks is not None:
        return exchange.script.chunks
    generation_config = dict(call.request.get("generationConfig") or {})
    if exchange.behaviour.ignore_stop_sequences:
        generation_config.pop("stopSequences", None)
    grounding: Json | None = None
    parts = exchange.script.parts
    if parts is None and asks_to_search(call.request):
        found = pretend_web.search(call.request)
        parts, grounding = [text(found.text)], found.grounding(str(exchange.web_request.url.origin()))
    elif parts is None:
        parts = brain.answer(call.request, call.model)
        if exchange.behaviour.wrong_decisions is not None:
            parts = judge.spoilt(parts, exchange.behaviour.wrong_decisions)
    kept, finish_reason = within_limits(parts, generation_config)
    usage = _usage(exchange.state, call, kept)
    exchange.note(usage=usage.as_metadata(call.model.family))
    chunks = chunks_of(
        signed(kept, call.model.family, exchange.state.signatures),
        model=call.model,
        usage=usage,
        finish_reason=finish_reason,
        chunk_count=exchange.behaviour.chunk_count or exchange.state.pace.chunk_count,
    )
    if grounding is not None and finish_reason == "STOP":
        chunks[-1]["response"]["candidates"][0]["groundingMetadata"] = grounding
    return chunks


def _usage(state: EmulatorState, call: Call, parts: list[Json]) -> Usage:
    prompt, cached = state.count_prompt(call.model, call.request)
    visible, thoughts = count_parts(parts)
    return Usage(prompt, cached, visible, thoughts)
