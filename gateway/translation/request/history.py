"""Translation of messages as clients store them into turns that both APIs accept.

A turn is a message with the role user or assistant and a list of blocks. Turns alternate, each tool call is
answered in the turn right after it, in the order of the calls, and each result answers a call. A valid
history stays unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Block = dict[str, Any]
Message = dict[str, Any]

CLEARED_BY_USER = "next_user_message"
"""The value of ``clear_at`` of a system message that applies only to the turn before it."""
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_PIECES = frozenset(
    {"input_json_delta", "text_delta", "thinking_delta", "signature_delta", "citations_delta"}
)
_INPUT = "pieces of the input"

INTERRUPTED = "The tool call was interrupted before it gave a result."


def as_turns(messages: Sequence[Message]) -> list[Message]:
    """Return messages with content as blocks: blank texts dropped, neighbours of one role merged, system text
    as the user's."""
    turns: list[Message] = []
    last_of_user = _last_of_user(messages)
    for at, message in enumerate(messages):
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = _blocks_of(message["content"])
        if message["role"] == "system":
            if message.get("clear_at") == CLEARED_BY_USER and at < last_of_user:
                blocks = [block for block in blocks if block["type"] != "text"]
            if not blocks:
                continue  # a system message that only sets the effort, or was cleared
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _last_of_user(messages: Sequence[Message]) -> int:
    for at in range(len(messages) - 1, -1, -1):
        if messages[at]["role"] == "user":
            return at
    return -1


def _blocks_of(content: Any) -> list[Block]:
    """Return the content, a text or blocks, as a new list of blocks, which the caller may extend."""
    if type(content) is str:
        return [{"type": "text", "text": content}] if content.strip() else []
    has_blanks = False
    for block in content:
        if block["type"] in _PIECES or "partial_json" in block:
            return _without_blanks(_with_pieces_joined(content))
        if block["type"] == "text" and not block["text"].strip():
            has_blanks = True
    return _without_blanks(content) if has_blanks else [*content]


def _without_blanks(content: list[Block]) -> list[Block]:
    return [block for block in content if block["type"] != "text" or block["text"].strip()]


# --- stream events among the blocks ---


def _with_pieces_joined(content: list[Block]) -> list[Block]:
    """Merge stream events into the blocks they belong to.

    Clients that store a stream as received, as LangChain does, keep a call's arguments and the texts in
    deltas behind their block (langchain-ai/langchainjs#9798, 1Panel-dev/MaxKB#6480).
    """
    joined: list[Block] = []
    for block in content:
        kind = block["type"]
        if kind == "input_json_delta":
            _continue_call(joined, _piece_of_json(block))
        elif kind == "text_delta" and joined and joined[-1]["type"] == "text":
            joined[-1] = {**joined[-1], "text": joined[-1]["text"] + str(block.get("text", ""))}
        elif kind == "text_delta":
            joined.append({"type": "text", "text": str(block.get("text", ""))})
        elif kind in _CALLS and isinstance(block.get("partial_json"), str):
            joined.append(block)
            _continue_call(joined, block["partial_json"])
        elif kind not in _PIECES:
            joined.append(block)
    return [_with_whole_input(block) if _INPUT in block else block for block in joined]


def _piece_of_json(block: Block) -> str:
    pieces = (block.get("partial_json"), block.get("input"))
    return next((piece for piece in pieces if isinstance(piece, str)), "")


def _continue_call(blocks: list[Block], piece: str) -> None:
    if blocks and blocks[-1]["type"] in _CALLS:
        blocks[-1] = {**blocks[-1], _INPUT: blocks[-1].get(_INPUT, "") + piece}


def _with_whole_input(call: Block) -> Block:
    """Return the call with its deltas parsed as input; an input that is already complete is kept."""
    pieces = call.pop(_INPUT)
    return call if call.get("input") else {**call, "input": pieces or {}}


# --- calls and results ---


def pair_tools(turns: Iterable[Message]) -> list[Message]:
    """Answer each call once, and turn results without a call into texts.

    The calls of a final assistant turn stay open: their results have not been sent yet.
    """
    paired: list[Message] = []
    open_calls: list[str] = []
    for turn in turns:
        if turn["role"] == "assistant":
            turn, open_calls = _with_calls_once(turn)
        else:
            turn, open_calls = _with_answers_first(turn, open_calls), []
        paired.append(turn)
    return paired


def _with_calls_once(turn: Message) -> tuple[Message, list[str]]:
    """Return the turn with each call once, and the ids of its calls in order."""
    ids = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
    if len(ids) < 2 or len(set(ids)) == len(ids):
        return turn, ids
    seen: set[str] = set()
    blocks = []
    for block in turn["content"]:
        if block["type"] == "tool_use":
            if block["id"] in seen:
                continue
            seen.add(block["id"])
        blocks.append(block)
    return {"role": "assistant", "content": blocks}, list(dict.fromkeys(ids))


def _with_answers_first(turn: Message, calls: list[str]) -> Message:
    blocks = turn["content"]
    answered = [block["tool_use_id"] if block["type"] == "tool_result" else None for block in blocks]
    if answered[: len(calls)] == calls and not any(answered[len(calls) :]):
        return turn  # in order already
    asked = set(calls)
    answers: dict[str, Block] = {}
    rest: list[Block] = []
    for block in blocks:
        if block["type"] != "tool_result":
            rest.append(block)
        elif block["tool_use_id"] not in asked:
            rest += _orphan(block)
        else:
            answers.setdefault(block["tool_use_id"], block)
    results = [answers.get(call) or interrupted_result(call) for call in calls]
    return {"role": "user", "content": results + rest}


def interrupted_result(tool_use_id: str) -> Block:
    return {"type": "tool_result", "tool_use_id": tool_use_id, "content": INTERRUPTED, "is_error": True}


def _orphan(result: Block) -> list[Block]:
    """Return the content of a result that answers no call in the turn before, as user blocks."""
    content = _blocks_of(result.get("content") or "")
    said = "\n".join(block["text"] for block in content if block["type"] == "text")
    text = f"[Result of tool call {result['tool_use_id']}, which is not part of this conversation]\n{said}"
    others = [_told_in_words(block) for block in content if block["type"] != "text"]
    return [{"type": "text", "text": text.rstrip()}, *others]


def _told_in_words(block: Block) -> Block:
    """Return a result nested in a result as text: it has no defined form and must not answer a call."""
    return {**block, "type": "nested_tool_result"} if block["type"] == "tool_result" else block


def open_calls_of(turns: list[Message]) -> list[str]:
    """Return the ids of calls without a result in a conversation that ends with an assistant turn."""
    return [block["id"] for block in turns[-1]["content"] if block["type"] == "tool_use"]
