"""Live events for open pages: requests as they start, fail, begin and end; log lines; accounts.

Events go through the channel layer, so that a page served by one process gets those of all. They are batched
for a fifth of a second: the in-memory layer keeps a hundred messages for each listener and then drops
silently. Batches are numbered, so that a listener detects a missing one and can reload its state. Without
listeners nothing is collected: listeners announce themselves repeatedly, since a closed one cannot be noticed
otherwise.

    async with Listener() as listener:
        while (batch := await listener.next()) is not None:
            batch.source, batch.number, batch.missed, batch.events     # events is JSON, a list
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import orjson
from channels.exceptions import ChannelFull
from channels.layers import BaseChannelLayer, get_channel_layer

LISTENERS = "activity.listeners"
SOURCES = "activity.sources"
END = "activity.end"
BATCH_SECONDS = 0.2
LARGEST_BATCH = 500
"""The most events of a batch; further ones are counted as missed."""
ANNOUNCE_SECONDS = 20.0
LISTENER_SECONDS = 60.0
RENEW_SECONDS = 3600.0
"""How often the membership of a group is renewed; layers expire it after a day."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    source: str
    """The server, which numbers its batches from 1."""
    number: int
    missed: int
    """Number of events left out of this batch because there were too many."""
    events: str


class Activity:
    """The publisher of one server. `publish` may be called from any thread; start and stop in the event
    loop."""

    def __init__(self) -> None:
        self.listeners_until = 0.0
        """The time by the monotonic clock until which listeners are expected, unless they announce themselves
        again; 0 before the first. Code that each request runs need not publish anything while it is 0."""
        self._events: list[dict[str, Any]] = []
        self._missed = 0
        self._number = 0
        self._source = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_flush_due = False
        self._listener_watch: asyncio.Task[None] | None = None
        self._flush: asyncio.Task[None] | None = None

    async def start(self, source: str) -> None:
        self._source = source
        self._loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        self._listener_watch = asyncio.create_task(self._watch_for_listeners(ready))
        await ready.wait()

    async def stop(self) -> None:
        self.listeners_until, self._loop = 0.0, None
        for task in (self._listener_watch, self._flush):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    @property
    def has_listeners(self) -> bool:
        until = self.listeners_until
        return until > 0.0 and until > time.monotonic()

    def publish(self, kind: str, facts: dict[str, Any]) -> None:
        """Publish an event of JSON values. Returns at once without listeners."""
        loop = self._loop
        if loop is None or not self.has_listeners:
            return
        if len(self._events) >= LARGEST_BATCH:
            self._missed += 1
            return
        self._events.append({"kind": kind, "at": time.time(), **facts})
        if not self._is_flush_due:
            self._is_flush_due = True
            loop.call_soon_threadsafe(self._plan_flush)

    def _plan_flush(self) -> None:
        self._flush = asyncio.create_task(self._send_batch())

    async def _send_batch(self) -> None:
        await asyncio.sleep(BATCH_SECONDS)
        self._is_flush_due = False
        events, self._events = self._events, []
        missed, self._missed = self._missed, 0
        self._number += 1
        batch = {
            "type": "activity.batch",
            "source": self._source,
            "number": self._number,
            "missed": missed,
            # As text, which the layer does not copy for each listener.
            "events": orjson.dumps(events, default=str).decode(),
        }
        try:
            await _layer().group_send(LISTENERS, batch)
        except Exception as error:  # of any layer; the gap in the numbers shows the missing batch
            logger.debug("Activity could not be sent: %s", error)

    async def _watch_for_listeners(self, ready: asyncio.Event) -> None:
        layer = _layer()
        channel = await layer.new_channel()
        try:
            while True:
                await layer.group_add(SOURCES, channel)
                ready.set()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._receive_announcements(layer, channel), RENEW_SECONDS)
        finally:
            await layer.group_discard(SOURCES, channel)

    async def _receive_announcements(self, layer: BaseChannelLayer, channel: str) -> None:
        while True:
            await layer.receive(channel)
            self.listeners_until = time.monotonic() + LISTENER_SECONDS


class Listener:
    """A context manager; `next` returns the batches of all servers until this one stops."""

    async def __aenter__(self) -> Self:
        _listening.add(self)
        self._layer = _layer()
        self._channel = await self._layer.new_channel()
        await self._announce()
        self._announcer = asyncio.create_task(self._keep_announcing())
        return self

    async def __aexit__(self, *exception: object) -> None:
        _listening.discard(self)
        self._announcer.cancel()
        with suppress(asyncio.CancelledError):
            await self._announcer
        await self._layer.group_discard(LISTENERS, self._channel)

    async def next(self) -> Batch | None:
        """Return the next batch; None when this server stops."""
        message = await self._layer.receive(self._channel)
        if message["type"] == END:
            return None
        return Batch(message["source"], message["number"], message["missed"], message["events"])

    async def close(self) -> None:
        with suppress(ChannelFull):
            await self._layer.send(self._channel, {"type": END})

    async def _keep_announcing(self) -> None:
        while True:
            await asyncio.sleep(ANNOUNCE_SECONDS)
            await self._announce()

    async def _announce(self) -> None:
        """Announce this listener and renew its membership: a layer expires a channel unread for a minute."""
        await self._layer.group_add(LISTENERS, self._channel)
        await self._layer.group_send(SOURCES, {"type": "activity.listen"})


def has_listener_here() -> bool:
    """Return True while this process has a listener. `Activity.has_listeners` notices its end later."""
    return bool(_listening)


async def close_listeners() -> None:
    """Close the listeners of this process before it ends, since they would wait for ever."""
    for listener in list(_listening):
        await listener.close()


_listening: set[Listener] = set()


def _layer() -> BaseChannelLayer:
    layer = get_channel_layer()
    assert layer is not None, "the setting CHANNEL_LAYERS has a default"
    return layer
