"""Functions that a worker process runs on a request parsed from a body. Pure. Each returns a picklable value,
with no more of the request than its caller needs."""

from __future__ import annotations

from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from msgspec import structs

from gateway.bodies.request_json import parse_json
from gateway.dialects.anthropic.messages import MessagesRequest, as_blocks
from gateway.pass_through.body import Changes, changed_body
from gateway.preparation.request import (
    STAYS_IN_THE_BODY,
    RequestSummary,
    completed,
    fields_of,
    summarize,
)
from gateway.translation.request.request import TranslatedRequest, TranslationOptions, translate_request
from gateway.translation.signature_families import SignatureCache, key_of_text, unsigned_calls
from gateway.translation.web_search.request import translate_search

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.routing.upstream_model import UpstreamModel
    from gateway.translation.web_search.requested_search import RequestedSearch


class Kept(NamedTuple):
    """The parts of a large request that the gateway keeps in memory beside the body: the fields outside of
    messages, system and tools, a summary, and the ids of calls that need signatures."""

    fields: dict[str, Any]
    summary: RequestSummary
    unsigned_calls: tuple[str, ...]
    signature_keys: tuple[str, ...]


def what_is_kept(request: MessagesRequest) -> Kept:
    kept = {name: value for name, value in fields_of(request).items() if name not in STAYS_IN_THE_BODY}
    unsigned = unsigned_calls(request.messages, SignatureCache())
    return Kept(kept, summarize(request), tuple(unsigned), tuple(_signature_keys(request)))


def _signature_keys(request: MessagesRequest) -> Iterator[str]:
    for message in request.messages:
        if message["role"] != "assistant":
            continue
        for block in as_blocks(message["content"]):
            if block.get("type") == "tool_use":
                yield block["id"]
            elif block.get("type") == "text":
                yield key_of_text(block["text"])


def translate(
    request: MessagesRequest,
    changes: MessagesRequest,
    model: UpstreamModel,
    options: TranslationOptions,
    signatures: SignatureCache,
    *,
    without_thinking: bool,
    token_ratio: float,
) -> TranslatedRequest:
    """Translate a request into one whose members are encoded as JSON."""
    return _with_json(
        translate_request(
            completed(changes, request),
            model,
            options,
            signatures,
            without_thinking=without_thinking,
            token_ratio=token_ratio,
        )
    )


def search(
    request: MessagesRequest,
    changes: MessagesRequest,
    asked: RequestedSearch,
    model: UpstreamModel,
    system_preamble: str,
) -> TranslatedRequest:
    whole = completed(changes, request)
    return _with_json(translate_search(asked, whole, model, system_preamble=system_preamble))


def changed(body: bytes, changes: Changes) -> list[PickleBuffer]:
    """Return a body, in pieces, with the changes that an upstream of Anthropic's format needs."""
    value = parse_json(body)
    pieces = changed_body(body, value["messages"], value.get("thinking"), changes)
    return [PickleBuffer(piece) for piece in pieces]


def _with_json(translated: TranslatedRequest) -> TranslatedRequest:
    """Convert the members of ``request`` to JSON buffers, which are sent to the gateway without a copy."""
    members = {name: PickleBuffer(orjson.dumps(value)) for name, value in translated.request.items()}
    return structs.replace(translated, request=members)
