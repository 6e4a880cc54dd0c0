"""The forty calls, and the question about each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.safeguards.known_calls import parse_known_calls
from gateway.safeguards.prompt import calls_in, check_request

if TYPE_CHECKING:
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.safeguards.known_calls import KnownCall

FORTY_CALLS = Path(__file__).parent / "forty_calls.json"
NONCE = "00112233aabbccdd"
KNOWN_CALLS = parse_known_calls(FORTY_CALLS.read_bytes())


def known(name: str) -> KnownCall:
    return next(call for call in KNOWN_CALLS if call.name == name)


def question_about(call: KnownCall, nonce: str = NONCE) -> MessagesRequest:
    return check_request("a-judge", call.context, call.messages, calls_in(call.content), nonce)
