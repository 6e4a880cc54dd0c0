"""The id of a request: told to the client, kept in the ledger, and on each line of the log meanwhile."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{1,64}")

current_request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request this task works for; empty outside of any."""


def accepted_or_new(asked: str) -> str:
    """The client's own `x-request-id`, if it can stand in a header, a log and a URL."""
    return asked if WELL_FORMED.fullmatch(asked) else f"req_{secrets.token_hex(12)}"
