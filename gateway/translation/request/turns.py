"""Translation of turns into contents: the order of calls, results, thinking and signatures.

Google and Claude validate each turn against its neighbours, so the history is translated in one pass and not
block by block: a result carries the name of the function that it answers, a signature of Gemini's is put on
the part for which it was issued, and calls end their turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.google_api.content import NO_SIGNATURE_SENTINEL, Content, Part, text_part, thought_part
from gateway.translation.request.binary_data import MEDIA_TYPES, NESTED_MEDIA_TYPES
from gateway.translation.request.content_blocks import (
    announced_tool,
    as_arguments,
    block_to_parts,
    described,
    text_of,
    text_with_images,
)
from gateway.translation.request.history import Block, Message, interrupted_result, open_calls_of
from gateway.translation.request.thinking import claude_thought
from gateway.translation.signature_families import (
    SignatureStore,
    key_of_text,
    own_signature_for,
    signature_for,
    tag,
)
from gateway.translation.tool_names import ToolNames, ToolUseIds, without_namespace

if TYPE_CHECKING:
    from gateway.dialects.anthropic.known_messages import KnownMessages
    from gateway.routing.upstream_model import UpstreamModel

EMPTY_TURN = "."
GO_ON = "Continue."

_IN_ORDER = frozenset(
    (*thinking, *text, *call)
    for thinking in ((), ("thinking",))
    for text in ((), ("text",))
    for call in ((), ("tool_use",))
    if text or call
)
"""Sequences of kinds of blocks in an assistant turn whose parts need no reordering, as in nearly all
turns."""


class _Built(NamedTuple):
    """What a builder has made of the first turns, and its state then."""

    contents: list[Content]
    upstream_names: dict[str, str]
    ids: ToolUseIds
    calls: dict[str, tuple[str, str]]
    files: list[Part]


class ContentsBuilder:
    def __init__(
        self,
        model: UpstreamModel,
        names: ToolNames,
        signatures: SignatureStore,
        *,
        declared: ToolNames,
        keeps_thinking: bool,
    ) -> None:
        """Make a builder. ``names`` also receives the names of calls; ``declared`` has only those of the
        request's tools. ``keeps_thinking`` sends the model its own earlier thinking and signatures."""
        self._family = model.family
        self._media_types = MEDIA_TYPES[model.family]
        self._nested_media_types = NESTED_MEDIA_TYPES if model.nests_images_in_tool_results else frozenset()
        self._names = names
        self._upstream_names: dict[str, str] = {}
        """The upstream names of the functions called so far, by the names that the client uses."""
        self._declared = declared
        self._signatures = signatures
        self._keeps_thinking = keeps_thinking
        self._ids = ToolUseIds()
        # tool_use id -> (id, name) upstream, for the calls of the assistant turn before
        self._calls: dict[str, tuple[str, str]] = {}
        # Files of the assistant turn before: Claude accepts files from the user only.
        self._files: list[Part] = []
        self._contents: list[Content] = []
        """The contents of the first turns, which `begin_with` has made."""

    def begin_with(self, known: KnownMessages, turns: list[Message]) -> None:
        """Make the contents of these turns of known messages, or take those of an earlier request. They
        depend on the family, on whether thinking is kept, and on the upstream names of the functions. For
        Gemini they also depend on the signatures at hand, and are made anew each time."""
        if self._family == "gemini":
            return
        key = ("contents", self._family, self._keeps_thinking)
        built: _Built | None = known.kept.get(key)
        if built is not None and len(built.contents) <= len(turns) and self._has_names(built.upstream_names):
            self._restore(built)
        if len(self._contents) < len(turns):
            self._contents += self._contents_of(turns[len(self._contents) :])
            known.kept[key] = self._built()

    def _has_names(self, upstream_names: dict[str, str]) -> bool:
        for name in upstream_names:
            if self._names.to_upstream(without_namespace(name)) != upstream_names[name]:
                return False
        return True

    def _built(self) -> _Built:
        """Return copies, which no other builder changes."""
        return _Built(
            [*self._contents], {**self._upstream_names}, self._ids.copy(), {**self._calls}, [*self._files]
        )

    def _restore(self, built: _Built) -> None:
        self._contents, self._upstream_names = [*built.contents], {**built.upstream_names}
        self._ids, self._calls, self._files = built.ids.copy(), {**built.calls}, [*built.files]

    def build(self, turns: list[Message], *, may_end_with_assistant: bool) -> list[Content]:
        if not may_end_with_assistant and turns and turns[-1]["role"] == "assistant":
            turns = [*turns, _closing_turn(turns)]
        further = self._contents_of(turns[len(self._contents) :])
        contents = _without_empty_turns([*self._contents, *further])
        _end_prefill_with_a_word(contents[-1])
        return contents

    def _contents_of(self, turns: list[Message]) -> list[Content]:
        return [
            {"role": "model", "parts": self._model_parts(turn["content"])}
            if turn["role"] == "assistant"
            else {"role": "user", "parts": self._user_parts(turn["content"])}
            for turn in turns
        ]

    # --- assistant -> model ---

    def _model_parts(self, blocks: list[Block]) -> list[Part]:
        self._calls = {}
        if self._family == "gemini":
            return _calls_last(self._gemini_parts(blocks))
        parts: list[Part] = []
        kinds: list[str] = []
        for block in blocks:
            kinds.append(block["type"])
            if block["type"] == "tool_use":
                parts.append(self._function_call(block))
            elif block["type"] == "text" and ";base64," not in block["text"]:  # as nearly all texts
                parts.append({"text": block["text"]})
            elif block["type"] not in ("thinking", "redacted_thinking"):
                parts += self._words_of(block)
            elif self._keeps_thinking and self._family == "claude" and (thought := claude_thought(block)):
                parts.append({"thought": True, "text": thought[0], "thoughtSignature": thought[1]})
        return parts if (*kinds,) in _IN_ORDER else _claude_order(_calls_last(parts))

    def _gemini_parts(self, blocks: list[Block]) -> list[Part]:
        parts: list[Part] = []
        carried: str | None = None  # a signature until the part it was issued for
        for block in blocks:
            if block["type"] == "thinking":
                signature = signature_for("gemini", block.get("signature"))
                if signature is not None and self._keeps_thinking:
                    carried = signature
                    parts += [thought_part(block["thinking"])] if block["thinking"] else []
            elif block["type"] == "tool_use":
                part = self._function_call(block)
                _sign(part, self._signature_of_call(block, carried))
                parts.append(part)
                carried = None
            elif new := self._words_of(block):
                _sign(new[0], carried or self._signature_of_text(new[0]))
                parts += new
                carried = None
        _sign_last(parts, carried)
        _add_sentinel(parts)
        return parts

    def _words_of(self, block: Block) -> list[Part]:
        """Translate an assistant's block; its files move to the next user turn, their placeholders stay."""
        if block["type"] == "text" and ";base64," not in block["text"]:
            return [{"text": block["text"]}]
        parts = text_with_images(block["text"]) if block["type"] == "text" else self._parts_of(block)
        parts, files = _split_files(parts)
        self._files += [file for file in files if self._takes(file)]
        return parts

    def _parts_of(self, block: Block) -> list[Part]:
        """Translate a block; an announced tool that is not declared gives no parts, since the model cannot
        call it."""
        name = announced_tool(block)
        return block_to_parts(block) if name is None or name in self._declared else []

    def _takes(self, file: Part) -> bool:
        return file["inlineData"]["mimeType"] in self._media_types

    def _signature_of_call(self, block: Block, carried: str | None) -> str | None:
        if not self._keeps_thinking:
            return None
        return (
            _bare(block.get("thoughtSignature"))
            or carried
            or own_signature_for("gemini", self._signatures.get(block["id"]))
        )

    def _signature_of_text(self, part: Part) -> str | None:
        if not self._keeps_thinking or "text" not in part:
            return None
        return own_signature_for("gemini", self._signatures.get(key_of_text(part["text"])))

    def _function_call(self, block: Block) -> Part:
        name = block["name"]
        if name not in self._upstream_names:
            self._upstream_names[name] = self._names.to_upstream(without_namespace(name))
        name = self._upstream_names[name]
        tool_use_id = self._ids.to_upstream(block["id"])
        self._calls[block["id"]] = (tool_use_id, name)
        arguments = block["input"] if "input" in block else None  # noqa: SIM401 -- a call
        if type(arguments) is not dict:
            arguments = as_arguments(arguments)
        return {"functionCall": {"name": name, "args": arguments, "id": tool_use_id}}

    # --- user ---

    def _user_parts(self, blocks: list[Block]) -> list[Part]:
        responses: list[Part] = []
        files: list[Part] = []  # of results; they follow the last response, since responses must be adjacent
        rest: list[Part] = []
        for block in blocks:
            if block["type"] == "text":
                rest.append({"text": block["text"]})
            elif block["type"] == "tool_result":
                response, others = self._function_response(block)
                responses.append(response)
                files += others
            else:
                rest += self._with_files_it_takes(self._parts_of(block))
        files += self._files
        self._files = []
        return responses + files + rest

    def _with_files_it_takes(self, parts: list[Part]) -> list[Part]:
        kept: list[Part] = []
        for part in parts:
            if "inlineData" not in part or self._takes(part):
                kept.append(part)
            else:
                _name_file(part, kept)
        return kept

    def _text_and_files_of_result(self, content: Any) -> tuple[str, list[Part]]:
        parts = self._with_files_it_takes([part for block in content or () for part in self._parts_of(block)])
        files = [part for part in parts if "text" not in part]
        if files and self._family == "gpt":
            parts, files = _split_files(parts)[0], []
        return text_of(parts), files

    def _function_response(self, block: Block) -> tuple[Part, list[Part]]:
        """Return the response, and those of its files that cannot be nested in it."""
        tool_use_id, name = self._calls[block["tool_use_id"]]
        content = block["content"] if "content" in block else None  # noqa: SIM401 -- a call
        files: list[Part] = []
        if type(content) is str:  # as in most results
            text = "" if content.isspace() else content
        else:
            text, files = self._text_and_files_of_result(content)
        key = "error" if "is_error" in block and block["is_error"] else "result"  # noqa: RUF019 -- a call
        response: dict[str, Any] = {"id": tool_use_id, "name": name, "response": {key: text}}
        if not files:
            return {"functionResponse": response}, files
        nested = [file for file in files if file["inlineData"]["mimeType"] in self._nested_media_types]
        if nested:
            response["parts"] = nested
            files = [file for file in files if file not in nested]
        return {"functionResponse": response}, files


def _closing_turn(turns: list[Message]) -> Message:
    """Return a user turn with results for open calls, or "Continue.": most models refuse to continue an
    assistant turn."""
    results = [interrupted_result(call) for call in open_calls_of(turns)]
    return {"role": "user", "content": results or [{"type": "text", "text": GO_ON}]}


def _without_empty_turns(contents: list[Content]) -> list[Content]:
    """Drop an empty turn at the start and an empty prefill; give other empty turns a text, so that roles
    alternate.

    An empty last user turn is kept as well: without it the answer before would be taken for a prefill.
    """
    if contents and not contents[0]["parts"]:
        contents = contents[1:]
    if contents and contents[-1]["role"] == "model" and not contents[-1]["parts"]:
        contents = contents[:-1]
    if not contents or contents[0]["role"] == "model":
        contents = [{"role": "user", "parts": []}, *contents]
    for content in contents:
        if not content["parts"]:
            content["parts"] = [text_part(EMPTY_TURN)]
    return contents


def _end_prefill_with_a_word(last: Content) -> None:
    """Strip the end of a prefill. Claude: "final assistant content cannot end with trailing whitespace"."""
    part = last["parts"][-1]
    if last["role"] == "model" and "text" in part:
        part["text"] = part["text"].rstrip()


def _split_files(parts: list[Part]) -> tuple[list[Part], list[Part]]:
    """Return the parts with placeholders in place of files, and the files."""
    files = [part for part in parts if "inlineData" in part]
    if not files:
        return parts, files
    named: list[Part] = []
    for part in parts:
        if "inlineData" in part:
            _name_file(part, named)
        else:
            named.append(part)
    return named, files


def _name_file(file: Part, parts: list[Part]) -> None:
    """Add a file's placeholder, unless the parts before contain it."""
    words = described(file)
    if not any(words in part.get("text", "") for part in parts):
        parts.append(text_part(words))


# --- order and signatures within a model turn ---


def _calls_last(parts: list[Part]) -> list[Part]:
    """Move text behind a call before the first call; thinking between calls stays in place."""
    first_call = _first_with("functionCall", parts)
    if first_call is None or first_call == len(parts) - 1:
        return parts
    after = parts[first_call:]
    calls = [part for part in after if "functionCall" in part or "thought" in part]
    if len(calls) == len(after):
        return parts
    moved = [part for part in after if "functionCall" not in part and "thought" not in part]
    return parts[:first_call] + moved + calls


def _first_with(field: str, parts: list[Part]) -> int | None:
    """Return the index of the first part with the field."""
    for index, part in enumerate(parts):
        if field in part:
            return index
    return None


def _claude_order(parts: list[Part]) -> list[Part]:
    """Order a turn for Claude: thinking comes first if there is any, and does not end the turn."""
    first = _first_with("thought", parts)
    if first is None:
        return parts
    if first > 0:
        parts = [parts[first], *parts[:first], *parts[first + 1 :]]
    if "thought" not in parts[-1]:
        return parts
    if not any("functionCall" in part for part in parts):
        return [*parts, text_part(EMPTY_TURN)]
    while "thought" in parts[-1]:
        parts.pop()
    return parts


def _sign(part: Part, signature: str | None) -> None:
    if signature is not None:
        part["thoughtSignature"] = signature


def _sign_last(parts: list[Part], signature: str | None) -> None:
    """Put a signature that no part follows on the last part."""
    if signature is not None and parts and "thought" not in parts[-1] and "thoughtSignature" not in parts[-1]:
        parts[-1]["thoughtSignature"] = signature


def _add_sentinel(parts: list[Part]) -> None:
    """Put the sentinel on the first call, unless it is signed: of parallel calls only the first is signed."""
    for part in parts:
        if "functionCall" in part:
            part.setdefault("thoughtSignature", NO_SIGNATURE_SENTINEL)
            return


def _bare(signature: object) -> str | None:
    """Return the signature in a tool_use block's own field, tagged or not; only Gemini's are kept there."""
    if not isinstance(signature, str):
        return None
    return signature_for("gemini", signature if "#" in signature else tag("gemini", signature))
