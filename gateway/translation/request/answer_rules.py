"""Rules of a request for its answer that no field of Google's request can express.

Thinking is shown to clients that asked for it: ``thinking`` of any type but ``disabled``. A request without
the field gets none, as from Anthropic's API, unless it names a ``-thinking`` model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from gateway.dialects.anthropic.messages import MessagesRequest

ThinkingDisplay = Literal["text", "omitted", "none"]


class AnswerRules(Struct):
    """Rules for the answer, as the response translation applies them.

    ``thinking``: ``text`` shows it, ``omitted`` sends signatures with empty texts, ``none`` nothing.
    ``one_call``: the turn ends after its first call. ``answer_tool``: upstream name of the function whose
    arguments are the answer. ``without_content``: the prompt is only read. ``with_sources``: the search
    results are needed, which the upstream sends last. ``said_first``: whole content blocks of the gateway
    that open the answer.
    """

    thinking: ThinkingDisplay = "text"
    stop_sequences: tuple[str, ...] = ()
    one_call: bool = False
    answer_tool: str | None = None
    without_content: bool = False
    with_sources: bool = False
    said_first: tuple[dict[str, Any], ...] = ()


def answer_rules(request: MessagesRequest, *, answer_tool: str | None = None) -> AnswerRules:
    return AnswerRules(
        thinking=_thinking_display(request),
        stop_sequences=(*request.stop_sequences,) if request.stop_sequences else (),
        one_call=bool(request.tool_choice and request.tool_choice.get("disable_parallel_tool_use")),
        answer_tool=answer_tool,
        without_content=only_reads_the_prompt(request),
        said_first=request.said_first,
    )


def only_reads_the_prompt(request: MessagesRequest) -> bool:
    """Return True for ``max_tokens`` 0, which fills the prompt cache and generates nothing."""
    return request.max_tokens == 0


def asks_for_thinking(request: MessagesRequest) -> bool:
    return request.thinking is not None and request.thinking.get("type") != "disabled"


def _thinking_display(request: MessagesRequest) -> ThinkingDisplay:
    if request.thinking is None:
        return "text" if "thinking" in request.model.lower() else "none"
    if not asks_for_thinking(request):
        return "none"
    return "omitted" if request.thinking.get("display") == "omitted" else "text"
