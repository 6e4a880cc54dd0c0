"""The id of a request: told to the client, kept in the ledger, and on each line of the log meanwhile."""

from __future__ import annotations

import re
import secrets
import time
from contextvars import ContextVar

WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{1,64}")

current_request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request this task works for; empty outside of any."""


def accepted_or_new(asked: str) -> str:
    """The client's own `x-request-id`, if it can stand in a header, a log and a URL.

    Ours begin with the time: they can be sorted, and a database appends to its index of them.
    """
    if WELL_FORMED.fullmatch(asked):
        return asked
    return f"req_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(6)}"
