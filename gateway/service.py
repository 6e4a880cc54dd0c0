"""The running gateway: all objects that live as long as the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from channels.db import database_sync_to_async
from django.conf import settings
from django.utils import timezone

from accounts import live_settings
from accounts.service import AccountsService
from gateway.ledger.budgets import Budgets
from gateway.ledger.recorder import RequestRecorder
from gateway.ledger.signature_store import StoredSignatures
from gateway.ledger.writer import Ledger
from gateway.models import read_routes, read_token_ratios, store_token_ratios
from gateway.preparation.translator import RequestTranslator
from gateway.preparation.workers import TranslationWorkers
from gateway.pricing.price_list import PriceList
from gateway.relay.readiness import ModelReadiness
from gateway.relay.relay import Relay
from gateway.relay.web_searches import WebSearches
from gateway.routing.routes import Routes
from gateway.routing.token_ratios import TokenRatios
from gateway.safeguards.judge import Judge
from gateway.telemetry.activity import Activity, close_listeners
from gateway.telemetry.heartbeat import Heartbeat
from gateway.telemetry.log_ring import LogRing
from gateway.upstreams.registry import make_upstreams
from gateway.upstreams.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime


class Gateway:
    """The gateway of a server. It is created outside an event loop; `start` and `stop` run inside it."""

    def __init__(self) -> None:
        self.started_at: datetime | None = None
        """When the start was complete; None before."""
        self.is_draining = False
        """True when requests in flight may end, but no further ones should be sent here."""
        self.is_stopping = False
        """True when requests that are cancelled get an error that names the shutdown."""
        self.accounts = AccountsService()
        self.ledger = Ledger()
        self.activity = Activity()
        self.log_ring = LogRing(self.activity)
        self.token_ratios = TokenRatios()
        self.ledger.also_store.append(lambda: store_token_ratios(self.token_ratios))
        self.recorder = RequestRecorder(self.ledger, self.activity, self.token_ratios, PriceList())
        self.budgets = Budgets(self.accounts)
        self._heartbeat = Heartbeat(self.accounts, self.ledger, self.activity, self.recorder)
        self._transport = Transport(settings.UPSTREAM_CONNECT_TIMEOUT_SECONDS)
        self.upstreams = make_upstreams(self._transport)
        self.routes = Routes()
        self.signatures = StoredSignatures(self.ledger.keep_signature)
        self._workers = TranslationWorkers()
        self.translator = RequestTranslator(self.signatures, self.token_ratios, self._workers)
        self.relay = Relay(
            self.accounts, self.upstreams, lambda: self.routes, self.signatures, self.translator
        )
        self.readiness = ModelReadiness(self.accounts, lambda: self.routes, self.relay.choice)
        self.judge = Judge(self.relay, self.recorder, lambda: self.is_stopping)
        live_settings.warnings["SAFEGUARDS_MODEL"] = self.judge.warning
        self.web_searches = WebSearches(self.relay, self._transport)
        self.accounts.also_reload.append(self._read_routes)
        self.also_close: list[Callable[[], Awaitable[None]]] = []
        """Further functions to call before the drain, to close connections that would never end."""

    async def start(self) -> None:
        self.log_ring.start()
        await self._transport.start()
        await self.accounts.start()
        await self.ledger.start()
        self.accounts.acknowledge_as(self.ledger.instance_id)
        await self.signatures.start()
        self.token_ratios.load(await database_sync_to_async(read_token_ratios)())
        await self.activity.start(str(self.ledger.instance_id))
        await self.translator.start()
        await self._heartbeat.start()
        await self.budgets.start()
        _running.append(self)
        self.started_at = timezone.now()

    def _read_routes(self) -> None:
        before, self.routes = self.routes, read_routes()
        if self.routes != before:
            self.activity.publish("routes_changed", {})

    async def close_listeners(self) -> None:
        """Close live event streams and sockets, which would never end; requests may finish."""
        for close in self.also_close:
            await close()
        await close_listeners()

    async def stop(self) -> None:
        """Stop everything, the ledger first, since time is limited and unwritten rows would be lost."""
        await self.translator.stop()
        await self._heartbeat.stop()
        await self.budgets.stop()
        if self in _running:
            _running.remove(self)
        try:
            await self.ledger.stop()
        finally:
            await self._workers.stop()
            await self.signatures.stop()
            await self.activity.stop()
            await self.accounts.stop()
            await self._transport.close()
            self.log_ring.stop()


_running: list[Gateway] = []


def running_gateway() -> Gateway | None:
    """Return the gateway of this process, for pages that show what is only in memory; None in commands."""
    return _running[-1] if _running else None
