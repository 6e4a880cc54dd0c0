"""The heartbeat: a log line every minute, and an event for the pages when an account changes."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from accounts.status.pool_status import pool_status
from gateway.telemetry.log_format import RequestIdFilter, SafeFormatter

if TYPE_CHECKING:
    from accounts.service import AccountsService
    from gateway.ledger.recorder import RequestRecorder
    from gateway.ledger.writer import Ledger
    from gateway.telemetry.activity import Activity

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 60.0
LOGGERS = ("accounts", "gateway", "dashboard", "proxy_site")


class Heartbeat:
    def __init__(
        self, accounts: AccountsService, ledger: Ledger, activity: Activity, recorder: RequestRecorder
    ) -> None:
        self._accounts = accounts
        self._ledger = ledger
        self._activity = activity
        self._recorder = recorder
        self._log_lines = LogLines(activity)
        self._beating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._accounts.on_changed = self._tell_of_accounts
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self._log_lines)
        self._beating = asyncio.create_task(self._keep_beating())

    async def stop(self) -> None:
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(self._log_lines)
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
        return (
            f"Heartbeat: {len(self._recorder.in_flight)} requests in flight, "
            f"{now.waiting} waiting for an account; accounts: {now.sentence}; "
            f"{self._ledger.waiting} rows of the ledger to be written"
        )

    def _tell_of_accounts(self) -> None:
        if self._activity.has_listeners:
            now = pool_status(self._accounts)
            accounts = [{"account": one.email, **one.as_json()} for one in now.accounts]
            self._activity.publish("accounts_changed", {"total": now.total, "accounts": accounts})


class LogLines(logging.Handler):
    """Publishes log lines as events, redacted like the log itself."""

    def __init__(self, activity: Activity) -> None:
        super().__init__()
        self._activity = activity
        self._format = SafeFormatter()
        self.addFilter(RequestIdFilter())

    def emit(self, record: logging.LogRecord) -> None:
        if not self._activity.has_listeners:
            return
        try:
            line = {
                "level": record.levelname.lower(),
                "logger": record.name,
                "request_id": getattr(record, "request_id", ""),
                "message": self._format.message_of(record),
            }
        except Exception:
            self.handleError(record)
        else:
            self._activity.publish("log", line)
