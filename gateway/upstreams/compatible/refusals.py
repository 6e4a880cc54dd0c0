"""Recognises from a server's error which feature it does not support. Pure.

Sources of the messages: ollama/ollama#16372 and vllm-project/vllm#44000 (system messages),
op7418/CodePilot#427 (thinking), and the documentation that proxy_site/emulator/compatible/modes.py names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from accounts.failures import FailureKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.failures import UpstreamError
    from accounts.values.switches import Switches

# Words of a refusal, and the switch that it turns off.
REFUSALS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(words, re.IGNORECASE | re.DOTALL), switch)
    for words, switch in (
        (
            r"(?:role|variant|input).{0,40}system|['\"`]system['\"`]"
            r"|\.role\b.{0,60}expected ['\"`]user",  # LM Studio (lmstudio-ai/lmstudio-bug-tracker#1399)
            "system_messages",
        ),
        (r"\bdocument", "documents"),
        (r"\bthinking|\breasoning", "thinking"),
        (r"text content blocks must|text.{0,30}(?:non-empty|be empty|whitespace)", "blank_texts"),
    )
)
OTHER_AUTH = {"bearer": "x-api-key", "x-api-key": "bearer"}


def learned_from(
    error: UpstreamError, switches: Switches, style: str, known: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the switch that explains the error, with its new value; empty when none does, or the operator
    has set it. `style` is how the key was sent, `known` the switches learned before."""
    if error.kind is FailureKind.KEY_REFUSED:
        may_learn = "auth" not in known and not switches.auth and style in OTHER_AUTH
        return {"auth": OTHER_AUTH[style]} if may_learn else {}
    if error.kind is not FailureKind.BAD_REQUEST and error.kind is not FailureKind.BAD_SIGNATURE:
        return {}
    for words, name in REFUSALS:
        if getattr(switches, name) and name not in switches.fixed and words.search(error.message):
            return {name: False}
    return {}
