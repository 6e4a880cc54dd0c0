"""The judge: the model of SAFEGUARDS_MODEL, asked through the relay like any other request.

It has CHECK_SECONDS from the end of the reply, whatever timeouts the settings give other requests, and a row
of its own in the ledger. Without a clear decision in time a call is unavailable; a failed check never fails
the reply.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from accounts.live_settings import live
from gateway.dialects.anthropic.messages import MessagesRequest
from gateway.dialects.anthropic.stream_events import text_in
from gateway.errors import (
    OUR_FAULT,
    STOPPING,
    GatewayError,
    NotFound,
    Overloaded,
    PromptTooLong,
    RequestTooLarge,
    UpstreamFailed,
    UpstreamTimedOut,
)
from gateway.ledger.record import RequestRecord
from gateway.models import SAFEGUARDS
from gateway.relay.context import RequestContext, digest_of, session_id_for
from gateway.relay.error_messages import TOLD_THE_CLIENT
from gateway.safeguards.decisions import ToolUses, tool_uses_from, unavailable
from gateway.safeguards.prompt import FLAGGED, Call, check_request, for_subagent, rules_by_label

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.ledger.recorder import RequestRecorder
    from gateway.relay.answer import Answer
    from gateway.relay.relay import Relay

logger = logging.getLogger(__name__)

CHECK_SECONDS = 10.0
"""The time from the end of the reply to the decisions in seconds, including all waits and attempts."""
MAX_ANSWER_CHARACTERS = 256 * 1024
MAX_CONTEXT_BYTES = 256 * 1024
"""The largest classifier_context, in bytes of JSON. Claude Code's have a few thousand; one of this size takes
a tenth of a second at worst."""
NO_DECISION = "answered without a decision in the form that was asked for"

DANGEROUS_TOOL_USE = "dangerous_tool_use"
"""The only type of safeguard that clients ask for today."""
UNSUPPORTED = {"type": "unsupported"}

TOO_MUCH_TO_JUDGE = {"type": "unavailable", "reason": "input_too_long"}
"""The status of all calls together when they are too long for the judge. If a single call had this reason,
Claude Code 2.1.332 would shorten the conversation and ask again and again, although the calls are too long,
not the conversation."""


class TooMuchToJudge(Exception):
    """Raised when the calls do not fit into the judge's context."""


@dataclass(frozen=True, slots=True)
class SafetyCheck:
    """The check that a request asks for, with only those parts of the request that the prompt needs."""

    judge: Judge
    types: list[str]
    context: dict[str, Any] | None
    """The client's classifier_context; None when no check of tool calls is asked for."""
    messages: list[dict[str, Any]]
    origin: RequestRecord
    conversation: str

    def takes_time(self, calls: Sequence[Call]) -> bool:
        """Return True when the judge has to be asked."""
        return bool(calls) and self.context is not None and bool(live("SAFEGUARDS_MODEL"))

    async def results(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        """Return ``safeguard_results``, one for each type asked for. Raises CancelledError only."""
        of_calls = UNSUPPORTED if self.context is None else await self._status(self.context, calls)
        return [
            {"type": name, "status": of_calls if name == DANGEROUS_TOOL_USE else UNSUPPORTED}
            for name in self.types
        ]

    async def _status(self, context: dict[str, Any], calls: Sequence[Call]) -> dict[str, Any]:
        model = live("SAFEGUARDS_MODEL")
        if not model:
            return UNSUPPORTED
        if not calls:
            return {"type": "available", "tool_uses": {}}
        if not self.judge.is_offered(model):
            return {"type": "unavailable", "reason": "error"}
        if len(orjson.dumps(context)) > MAX_CONTEXT_BYTES:
            return TOO_MUCH_TO_JUDGE
        try:
            request = check_request(model, context, self.messages, calls, nonce=secrets.token_hex(8))
            rules = rules_by_label(context)
            tool_uses = await self.judge.tool_uses(request, calls, rules, self.origin, self.conversation)
        except TooMuchToJudge:
            return TOO_MUCH_TO_JUDGE
        except Exception:
            logger.exception("the gateway failed while it checked tool calls")
            tool_uses = unavailable(calls, "error")
        return {"type": "available", "tool_uses": tool_uses}


class Judge:
    """The judge of a server. ``is_stopping`` tells a shutdown from a client that closed the connection."""

    def __init__(self, relay: Relay, recorder: RequestRecorder, is_stopping: Callable[[], bool]) -> None:
        self._relay = relay
        self._recorder = recorder
        self._is_stopping = is_stopping
        self._missing = ""
        """The model last logged as not offered by any account."""

    def check_for(
        self,
        safeguards: list[dict[str, Any]],
        messages: list[dict[str, Any]],
        origin: RequestRecord,
        request_context: RequestContext,
    ) -> SafetyCheck | None:
        """Return the check that ``safeguards`` asks for, or None.

        ``messages`` are those the user has typed, ``origin`` is the request's record.
        """
        if not safeguards:
            return None
        contexts = {one["type"]: one.get("classifier_context") for one in safeguards}
        context = contexts.get(DANGEROUS_TOOL_USE)
        if not isinstance(context, dict):
            contexts.pop(DANGEROUS_TOOL_USE, None)
            context = None
        if not contexts:
            return None
        if context is not None and request_context.is_subagents:
            context, messages = for_subagent(context, messages)
        return SafetyCheck(
            judge=self,
            types=list(contexts),
            context=context,
            messages=messages,
            origin=origin,
            conversation=f"{request_context.conversation} {SAFEGUARDS}",
        )

    def is_offered(self, model: str) -> bool:
        """Return True when an account offers the model, as far as is known. Logs once when none does."""
        warning = self.warning(model)
        if warning and model != self._missing:
            logger.error("SAFEGUARDS_MODEL: %s", warning)
        self._missing = model if warning else ""
        return not warning

    def warning(self, model: str) -> str:
        """Return a warning for the operator when SAFEGUARDS_MODEL cannot work, else an empty text."""
        if not model:
            return ""
        try:
            self._relay.counting_model(any_question(model))
        except NotFound:
            return (
                f"No account offers {model}, so no tool call can be checked, and clients in auto mode run "
                "nothing that needs a check."
            )
        return ""

    async def tool_uses(
        self,
        request: MessagesRequest,
        calls: Sequence[Call],
        rules: Mapping[str, str],
        origin: RequestRecord,
        conversation: str,
    ) -> ToolUses:
        """Return the decisions within CHECK_SECONDS. Raises TooMuchToJudge and CancelledError."""
        record = _record_of(request, origin)
        try:
            async with asyncio.timeout(CHECK_SECONDS) as limit:
                await self._recorder.open(record)
        except TimeoutError:  # no room in the ledger's queue
            return unavailable(calls, "timeout")
        except GatewayError:
            return unavailable(calls, "error")
        request_context = RequestContext(
            session_id=session_id_for(digest_of(conversation)),
            conversation=conversation,
            longest_wait_seconds=CHECK_SECONDS,
            may_fall_back=False,
        )
        self._recorder.describe(record, request, request_context)
        try:
            async with asyncio.timeout_at(limit.when()):
                return await self._decisions(request, calls, rules, record, request_context)
        except TimeoutError:
            record.fail(UpstreamTimedOut(f"No decision came within {CHECK_SECONDS:.0f} s."))
            return unavailable(calls, "timeout")
        except GatewayError as error:
            record.fail(error)
            if isinstance(error, PromptTooLong | RequestTooLarge):
                raise TooMuchToJudge from error
            return unavailable(calls, "timeout" if isinstance(error, UpstreamTimedOut) else "error")
        except asyncio.CancelledError:
            if self._is_stopping():
                record.fail(Overloaded(STOPPING))
            raise
        except Exception:
            record.fail(GatewayError(OUR_FAULT))
            raise
        finally:
            self._recorder.close(record)

    async def _decisions(
        self,
        request: MessagesRequest,
        calls: Sequence[Call],
        rules: Mapping[str, str],
        record: RequestRecord,
        request_context: RequestContext,
    ) -> ToolUses:
        answer = await self._relay.open(request, request_context)
        self._recorder.begin(record, answer)
        text = await _text_of(answer)
        record.response_bytes = len(text.encode())
        if answer.stop_reason != "end_turn":
            tool_uses = unavailable(calls, "error")
        else:
            tool_uses = tool_uses_from(text, calls, rules)
        if all(result["type"] == "unavailable" for result in tool_uses.values()):
            request_context.end_attempt(NO_DECISION, TOLD_THE_CLIENT)
            record.fail(UpstreamFailed(f"The model {NO_DECISION}."))
        else:
            record.succeed()
        _log_counts(tool_uses)
        return tool_uses


def any_question(model: str) -> MessagesRequest:
    """Return a minimal request, which shows at once whether any account offers the model."""
    return MessagesRequest(model=model, max_tokens=0, messages=[], thinking={"type": "disabled"})


def _record_of(request: MessagesRequest, origin: RequestRecord) -> RequestRecord:
    return RequestRecord(
        request_id=origin.request_id,
        client=origin.client,
        session_id=origin.session_id,
        request_bytes=len(request.messages[0]["content"].encode()),
        request_class=SAFEGUARDS,
    )


async def _text_of(answer: Answer) -> str:
    try:
        return text_in(await answer.hold(MAX_ANSWER_CHARACTERS))
    finally:
        answer.close()


def _log_counts(tool_uses: ToolUses) -> None:
    flagged = sum(result.get("outcome") == FLAGGED for result in tool_uses.values())
    unjudged = sum(result["type"] == "unavailable" for result in tool_uses.values())
    logger.info("tool calls checked: %d, flagged %d, not judged %d", len(tool_uses), flagged, unjudged)
