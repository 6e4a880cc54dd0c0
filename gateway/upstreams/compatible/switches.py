"""What one server takes, as far as it is known: learned from what it refuses. Pure.

Words of refusals: ollama/ollama#16372 and vllm-project/vllm#44000 (system messages), op7418/CodePilot#427
(thinking), and the documentation that proxy_site/emulator/compatible/modes.py names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from accounts.failures import FailureKind

if TYPE_CHECKING:
    from accounts.failures import UpstreamError


@dataclass(frozen=True, slots=True)
class Switches:
    """The start values suit most servers."""

    auth: str = ""
    """"bearer", "x-api-key", "both" or "none"; empty: as the account says."""
    system_messages: bool = True
    documents: bool = True
    thinking: bool = True
    blank_texts: bool = True
    betas: bool = False
    fields_of_betas: bool = False
    count_tokens: bool = True


# Words of a refusal, and the switch that it turns off.
REFUSALS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(words, re.IGNORECASE | re.DOTALL), switch)
    for words, switch in (
        (r"(?:role|variant|input).{0,40}system|['\"`]system['\"`]", "system_messages"),
        (r"\bdocument", "documents"),
        (r"\bthinking|\breasoning", "thinking"),
        (r"text content blocks must|text.{0,30}(?:non-empty|be empty|whitespace)", "blank_texts"),
    )
)
OTHER_AUTH = {"bearer": "x-api-key", "x-api-key": "bearer"}


def after_refusal(switches: Switches, error: UpstreamError, style: str) -> Switches | None:
    """The switches for another try; None when none of them explains the refusal. `style` is how the key was
    sent."""
    if error.kind is FailureKind.KEY_REFUSED and not switches.auth and style in OTHER_AUTH:
        return replace(switches, auth=OTHER_AUTH[style])
    if error.kind is not FailureKind.BAD_REQUEST and error.kind is not FailureKind.BAD_SIGNATURE:
        return None
    for words, name in REFUSALS:
        if getattr(switches, name) and words.search(error.message):
            off: dict[str, Any] = {name: False}
            return replace(switches, **off)
    return None
