"""The heartbeat: a log line every minute, and events for the pages when accounts, quotas or settings
change."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from accounts.status.pool_status import pool_status

if TYPE_CHECKING:
    from accounts.service import AccountsService
    from gateway.ledger.recorder import RequestRecorder
    from gateway.ledger.writer import Ledger
    from gateway.telemetry.activity import Activity

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 60.0


class Heartbeat:
    def __init__(
        self, accounts: AccountsService, ledger: Ledger, activity: Activity, recorder: RequestRecorder
    ) -> None:
        self._accounts = accounts
        self._ledger = ledger
        self._activity = activity
        self._recorder = recorder
        self._beating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._accounts.on_changed = self._tell_of_accounts
        self._accounts.on_quota_read = partial(self._activity.publish, "quota_read", {})
        self._accounts.on_settings_changed = partial(self._activity.publish, "settings_changed", {})
        self._beating = asyncio.create_task(self._keep_beating())

    async def stop(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            logger.info(self.heartbeat())

    def heartbeat(self) -> str:
        now = pool_status(self._accounts)
        in_flight, rows = len(self._recorder.in_flight), self._ledger.waiting
        return (
            f"Heartbeat: {in_flight} request{_ending(in_flight)} in flight, "
            f"{now.waiting} waiting for an account; of {now.total} account{_ending(now.total)} "
            f"{now.available} at no limit, {now.limited} at a limit for some model, "
            f"{now.unusable} cannot be used; "
            f"{rows} row{_ending(rows)} of the ledger to be written"
        )

    def _tell_of_accounts(self) -> None:
        if self._activity.has_listeners:
            now = pool_status(self._accounts)
            accounts = [{"account": one.name, **one.as_json()} for one in now.accounts]
            self._activity.publish("accounts_changed", {"total": now.total, "accounts": accounts})


def _ending(number: int) -> str:
    return "" if number == 1 else "s"
