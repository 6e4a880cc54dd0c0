"""Translation of a web search into the ``request`` member of Google's envelope, of type ``web_search``.

Google's search takes one user message and no conversation, so the messages before are put into it as plain
text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.google_api.content import Part, text_part
from gateway.translation.request.answer_rules import AnswerRules
from gateway.translation.request.request import TranslatedRequest, system_texts
from gateway.translation.tokens.token_estimate import estimate_input_tokens
from gateway.translation.tool_names import ToolNames

if TYPE_CHECKING:
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.routing.upstream_model import UpstreamModel
    from gateway.translation.web_search.requested_search import RequestedSearch

DEFAULT_RESULTS = 5
MOST_RESULTS = 20
DOMAINS_TOLD = 50
INSTRUCTION = (
    "Always search the web, also for what you know, and answer the question from what you find. Say what the "
    "sources say, and say so when they do not answer it."
)
"""Models are reported to skip the search now and then, the more often the longer the instruction is."""


def translate_search(
    search: RequestedSearch, request: MessagesRequest, model: UpstreamModel, *, system_preamble: str = ""
) -> TranslatedRequest:
    texts = [system_preamble, _instruction(search), *system_texts(request.system)]
    results = min(search.max_uses or DEFAULT_RESULTS, MOST_RESULTS)
    translated: dict[str, Any] = {
        "contents": [{"role": "user", "parts": _question(search)}],
        "systemInstruction": {"role": "user", "parts": [text_part(text) for text in texts if text.strip()]},
        "tools": [{"googleSearch": {"enhancedContent": {"imageSearch": {"maxResultCount": results}}}}],
        "generationConfig": {"candidateCount": 1},
    }
    rules = AnswerRules(
        thinking="none", stop_sequences=tuple(request.stop_sequences or ()), with_sources=True
    )
    return TranslatedRequest(
        translated,
        model,
        ToolNames(),
        input_token_estimate=estimate_input_tokens(request, model.family),
        request_type="web_search",
        answer_rules=rules,
    )


def _instruction(search: RequestedSearch) -> str:
    """Return the system instruction. Sources of other domains are filtered out later; naming the domains
    leaves more of them."""
    sentences = [INSTRUCTION]
    allowed, blocked = (", ".join(listed[:DOMAINS_TOLD]) for listed in (search.allowed, search.blocked))
    if allowed:
        sentences.append(f"Use only sources of these sites: {allowed}.")
    if blocked:
        sentences.append(f"Use no sources of these sites: {blocked}.")
    if search.location:
        sentences.append(f"The person who asks is about here: {search.location}.")
    return " ".join(sentences)


def _question(search: RequestedSearch) -> list[Part]:
    if not search.conversation:
        return [text_part(search.question)]
    before = f"What was said so far:\n\n{search.conversation}\n\nWhat is asked now:"
    return [text_part(before), text_part(search.question)]
