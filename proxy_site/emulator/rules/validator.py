"""Is this a request that Google would take? Pure: no clock, no network, no memory.

    validate_generate(envelope)          passes, or raises GoogleError(status, google_error_body)

In Google's order: the JSON is read against known fields (``wire.py``), the model is found, then the
conversation, the tools, the kind of request and the configuration are looked at, last the length of the
prompt.
"""

from __future__ import annotations

from proxy_site.emulator import google_errors
from proxy_site.emulator.google_errors import GoogleError, Json
from proxy_site.emulator.models import MODELS, Model
from proxy_site.emulator.pretend_model.signatures import Signatures
from proxy_site.emulator.pretend_model.tokenizer import TOKENIZERS, Tokenizers
from proxy_site.emulator.rules import wire
from proxy_site.emulator.rules.claude_rules import check_claude
from proxy_site.emulator.rules.gemini_rules import check_gemini, check_gpt
from proxy_site.emulator.rules.generation_rules import check_generation
from proxy_site.emulator.rules.search_rules import check_search
from proxy_site.emulator.rules.tool_rules import check_tools
from proxy_site.emulator.rules.turn_rules import check_contents

__all__ = ["GoogleError", "check_generate", "parse_generate", "validate_generate"]


def validate_generate(envelope: Json, *, genuine_signatures: Signatures | None = None) -> None:
    """Check a request. ``genuine_signatures`` verifies signatures; by default with those of a default
    emulator."""
    check_generate(parse_generate(envelope), genuine_signatures or Signatures())


def parse_generate(envelope: object) -> Json:
    """Read the envelope into camelCase names without nulls. Raises GoogleError for a wrong name or type."""
    try:
        parsed: Json = wire.ENVELOPE(envelope, "")
    except RecursionError as error:
        raise wire.too_deep("request") from error
    for field in ("model", "project", "request"):
        if not parsed.get(field):
            raise _missing(field)
    if parsed["model"] not in MODELS:
        raise google_errors.not_found()
    return parsed


def _missing(field: str) -> GoogleError:
    return google_errors.invalid_argument(f"Invalid resource field value in the request: {field}", field)


def check_generate(parsed: Json, signatures: Signatures, tokenizers: Tokenizers = TOKENIZERS) -> None:
    """Check the rules, for an envelope that ``parse_generate`` has read."""
    model, request = MODELS[parsed["model"]], parsed["request"]
    check_contents(request, model)
    check_tools(request, model)
    check_search(parsed, model)
    check_generation(request, model)
    if model.family == "claude":
        check_claude(request, model, signatures)
    elif model.family == "gemini":
        check_gemini(request, model, signatures)
    else:
        check_gpt(request)
    _check_prompt_length(model, tokenizers[model.family].count_prompt(request))


def _check_prompt_length(model: Model, tokens: int) -> None:
    if tokens > model.max_tokens:
        raise google_errors.prompt_too_long(model.family, tokens, model.max_tokens)
