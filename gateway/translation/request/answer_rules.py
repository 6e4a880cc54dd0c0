"""What a request asks of its answer, and what no field of Google's can say.

Thinking is shown to clients that asked for it: ``thinking`` of any type but ``disabled``. A request without
the field gets none, as from Anthropic, where the client has to ask, unless it names a ``-thinking`` model:
there the name is how it asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from gateway.dialects.anthropic.messages import MessagesRequest

ThinkingDisplay = Literal["text", "omitted", "none"]


@dataclass(frozen=True, slots=True)
class AnswerRules:
    """``thinking``: ``text`` shows it, ``omitted`` sends signatures with empty texts, ``none`` nothing.

    ``one_call``: the turn ends after its first call. ``answer_tool``: the function whose arguments are the
    answer, by its upstream name. ``without_content``: only the prompt was to be read. ``with_sources``: what
    the answer rests on is wanted, which the upstream says last. ``said_first``: whole blocks of ours.
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
        stop_sequences=tuple(request.stop_sequences or ()),
        one_call=bool((request.tool_choice or {}).get("disable_parallel_tool_use")),
        answer_tool=answer_tool,
        without_content=only_reads_the_prompt(request),
        said_first=request.said_first,
    )


def only_reads_the_prompt(request: MessagesRequest) -> bool:
    """``max_tokens`` 0 fills the prompt cache and generates nothing."""
    return request.max_tokens == 0


def asks_for_thinking(request: MessagesRequest) -> bool:
    return request.thinking is not None and request.thinking.get("type") != "disabled"


def _thinking_display(request: MessagesRequest) -> ThinkingDisplay:
    if request.thinking is None:
        return "text" if "thinking" in request.model.lower() else "none"
    if not asks_for_thinking(request):
        return "none"
    return "omitted" if request.thinking.get("display") == "omitted" else "text"
