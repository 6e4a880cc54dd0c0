"""Requests that the demo sends to itself while a page is open, so that it has something to show.

They go through the real gateway, as if claude-cli had sent them: three conversations with different models,
answers of different lengths, sometimes with a first attempt that fails.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from accounts.live_settings import live
from gateway.api.application import EventStream
from gateway.api.authentication import Client
from gateway.api.own_requests import own_request
from gateway.api.serve import serve
from gateway.dialects.anthropic.dialect import ANTHROPIC
from gateway.errors import GatewayError
from gateway.routing.upstream_model import upstream_model
from gateway.telemetry.activity import has_listener_here
from gateway.telemetry.request_ids import current_request_id
from proxy_site.demo.turns import HAIKU, OPUS, SONNET, Model

if TYPE_CHECKING:
    from gateway.service import Gateway
    from proxy_site.emulator.state import EmulatorState

logger = logging.getLogger(__name__)

CLIENT = Client("claude-cli")
PAUSE_SECONDS = (3.5, 6.5)
FIRST_EVENT_SECONDS = (0.4, 2.6)
MOST_AN_HOUR = 600
TURNS = 15
"""The number of turns after which a conversation starts anew."""
ONE_FAILURE_IN = 8
FAILURES = ("internal", "html_502", "empty_answer")
"""The emulator's faults after which the next attempt is likely to succeed."""
SYSTEM = "You are part of a demo.\n" + "\n".join(f"Rule {number}: be brief." for number in range(600))
TASKS = ("Explain what this does", "Say what could go wrong here", "Describe a better way", "Sum this up")


@dataclass(slots=True)
class Conversation:
    model: Model
    session_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    messages: list[dict[str, Any]] = field(default_factory=list)
    is_waiting: bool = False
    """True while the answer to its last message is awaited."""

    def ask(self, choice: Random) -> dict[str, Any]:
        """Return the body of its next request."""
        if len(self.messages) >= 2 * TURNS:
            self.session_id, self.messages = str(uuid.uuid4()), []
        words = min(int(choice.lognormvariate(5, 0.9)), 1_200)
        lines = "\n".join(f"total_{line} = add({line})" for line in range(choice.randint(5, 150)))
        task = f"{choice.choice(TASKS)} in about {words} words.\n\n{lines}"
        self.messages.append({"role": "user", "content": task})
        return {
            "model": self.model.asked_for,
            "max_tokens": 8_000,
            "stream": True,
            "system": SYSTEM,
            "messages": self.messages,
        }

    def hear(self) -> None:
        """Note that the request has ended, with or without an answer, whose text does not matter."""
        self.messages.append({"role": "assistant", "content": "I have answered that."})


class Traffic:
    """Sends the requests. `google` is the emulator's state, in which first attempts are made to fail."""

    def __init__(
        self,
        gateway: Gateway,
        google: EmulatorState,
        *,
        pause_seconds: tuple[float, float] = PAUSE_SECONDS,
        first_event_seconds: tuple[float, float] = FIRST_EVENT_SECONDS,
        most_an_hour: int = MOST_AN_HOUR,
    ) -> None:
        self._gateway = gateway
        self._google = google
        self._pause_seconds = pause_seconds
        self._first_event_seconds = first_event_seconds
        self._sent_at: deque[float] = deque(maxlen=most_an_hour)
        self._choice = Random()  # noqa: S311  # no secret
        self._conversations = [Conversation(model) for model in (SONNET, OPUS, HAIKU)]

    async def run(self) -> None:
        """Send requests until cancelled, which also cancels those in flight."""
        async with asyncio.TaskGroup() as under_way:
            while True:
                await asyncio.sleep(self._choice.uniform(*self._pause_seconds))
                idle = [one for one in self._conversations if not one.is_waiting]
                if idle and self._is_watched() and self._may_send():
                    under_way.create_task(self._take_turn(self._choice.choice(idle)))

    def _is_watched(self) -> bool:
        return self._gateway.activity.has_listeners and has_listener_here()

    def _may_send(self) -> bool:
        """Count one more request; return False if there have been too many within an hour."""
        now = time.monotonic()
        if len(self._sent_at) == self._sent_at.maxlen and now - self._sent_at[0] < 3600:
            return False
        if not self._sent_at:
            logger.info("The demo sends a request every few seconds while a page watches")
        self._sent_at.append(now)
        return True

    async def _take_turn(self, conversation: Conversation) -> None:
        conversation.is_waiting = True
        try:
            await self._send(conversation.ask(self._choice), conversation)
        except GatewayError as error:
            logger.debug("The demo's request was answered with %d %s", error.status, error.error_type)
        except Exception:
            logger.exception("The demo could not send a request")
        finally:
            conversation.hear()
            conversation.is_waiting = False

    async def _send(self, body: dict[str, Any], conversation: Conversation) -> None:
        request = own_request(self._gateway, CLIENT, body, session_id=conversation.session_id)
        current_request_id.set(request.request_id)
        logger.debug("The demo sends a request for %s", conversation.model.asked_for)
        self._arrange_answer(conversation.model)
        response = await serve(ANTHROPIC, request)
        if isinstance(response, EventStream):
            await _read(response)

    def _arrange_answer(self, model: Model) -> None:
        """Set how long the model takes, and sometimes that the first attempt fails."""
        sent_id = upstream_model(model.answers, header_mode=live("GEMINI_HEADER_MODE")).sent_id
        if not self._choice.randrange(ONE_FAILURE_IN):
            self._google.fault(self._choice.choice(FAILURES), model=sent_id, purpose="answer")
        seconds = self._choice.uniform(*self._first_event_seconds)
        self._google.fault("stall_before_headers", seconds=seconds, model=sent_id, purpose="answer")


async def _read(stream: EventStream) -> None:
    try:
        async for _ in stream.pieces:
            pass
    finally:
        await stream.pieces.clean_up()
