"""The id of a request: sent to the client, stored in the ledger, and part of each of its log lines."""

from __future__ import annotations

import re
import time
from contextvars import ContextVar

from gateway.telemetry.random_ids import random_hex

WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{1,64}")

current_request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the current task's request; empty outside of any."""


def accepted_or_new(asked: str) -> str:
    """Return the client's own `x-request-id`, if it is safe in a header, a log and a URL, else a new id.

    New ids begin with the time: they can be sorted, and a database appends to its index of them.
    """
    if WELL_FORMED.fullmatch(asked):
        return asked
    milliseconds = time.time_ns() // 1_000_000
    return f"req_{milliseconds.to_bytes(6, 'big').hex()}{random_hex(6)}"
