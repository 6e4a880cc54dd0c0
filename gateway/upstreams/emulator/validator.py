"""Is this a request that Google would take? Pure: no clock, no network, no memory.

validate_generate(envelope)          passes, or raises Refusal(status, google_error_body)
"""

from __future__ import annotations

from gateway.upstreams.emulator import google_errors, wire
from gateway.upstreams.emulator.google_errors import Json, Refusal
from gateway.upstreams.emulator.models import MODELS
from gateway.upstreams.emulator.signatures import Signatures

__all__ = ["Refusal", "parse_generate", "validate_generate"]


def validate_generate(envelope: Json, *, genuine_signatures: Signatures | None = None) -> None:
    parsed = parse_generate(envelope)
    check_generate(parsed, genuine_signatures or Signatures())


def parse_generate(envelope: object) -> Json:
    """The envelope with camelCase names and without nulls; raises where a name or a type is wrong."""
    parsed = wire.ENVELOPE(envelope, "")
    if not parsed.get("model"):
        raise _missing("model")
    if parsed["model"] not in MODELS:
        raise google_errors.not_found()
    if not parsed.get("project"):
        raise _missing("project")
    if "request" not in parsed:
        raise google_errors.invalid_argument("request is not specified", "request")
    return parsed


def check_generate(parsed: Json, signatures: Signatures) -> None:
    if not parsed["request"].get("contents"):
        raise google_errors.invalid_argument("contents is not specified", "request.contents")


def _missing(field: str) -> Refusal:
    return google_errors.invalid_argument(f"Invalid resource field value in the request: {field}", field)
