"""Fields by which other tools mark an account as disabled, and the reason.

An account that another tool has disabled is imported as disabled. The names come from the public sources that
docs/accounts.md lists; each means the same in all of them. Limits of single models do not count: such an
account is in use.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from accounts.values.outside import number
from accounts.values.sanitize import truncate

Entry = dict[str, Any]

LONGEST_REASON = 200
LATEST_SECONDS = 2.5e11
"""The latest time in seconds since 1970, in the year 9892. A greater number is in milliseconds."""
OFF_WHEN = {
    "enabled": False,
    "enable": False,
    "is_enabled": False,
    "isEnabled": False,
    "active": False,
    "is_active": False,
    "isActive": False,
    "disabled": True,
    "is_disabled": True,
    "isDisabled": True,
    "invalid": True,
    "is_invalid": True,
    "isInvalid": True,
    "proxy_disabled": True,
    "proxyDisabled": True,
    "validation_blocked": True,
    "verificationRequired": True,
    "accountIneligible": True,
    "unavailable": True,
    "banned": True,
    "is_banned": True,
    "isBanned": True,
    "is_forbidden": True,
    "isForbidden": True,
    "suspended": True,
    "revoked": True,
    "deleted": True,
    "rate_limited": True,
    "isRateLimited": True,
}
"""Fields, each with the value that means disabled. A limit with an end (LIMITED_UNTIL) counts until then."""

STATUS_FIELDS = ("status", "state", "account_status")
STATUS_ON = {
    "active", "available", "enabled", "healthy", "normal", "ok", "on", "online", "pending", "ready",
    "refreshing", "success", "unknown", "valid", "1", "true",
}  # fmt: skip
"""Status words that do not mean disabled. Any other word does, because it is more likely to be a problem."""

LIMITED_UNTIL = (
    "coolingDownUntil", "cooldown_until", "cooldownUntil", "rateLimitResetTime", "rate_limited_until",
    "rateLimitedUntil", "validation_blocked_until", "next_retry_after", "disabled_until", "disabledUntil",
)  # fmt: skip
RATE_LIMIT_FLAGS = {"isRateLimited", "rate_limited", "unavailable"}

REASONS = (
    "invalidReason", "invalid_reason", "disabled_reason", "disabledReason", "proxy_disabled_reason",
    "validation_blocked_reason", "verificationRequiredReason", "accountIneligibleReason", "cooldownReason",
    "forbidden_reason", "status_message", "statusMessage", "last_error", "lastError", "reason",
)  # fmt: skip

FALSE_WORDS = {"", "0", "0.0", "false", "f", "no", "n", "off", "null", "none", "disabled", "inactive"}


def off_reason(entry: Entry) -> str:
    """Return a sentence about the mark in the file; empty for an account that is enabled."""
    parts = [entry, *(part for name in ("quota", "health") if isinstance(part := entry.get(name), dict))]
    for part in parts:
        if mark := _flag(part) or _status(part) or _limit(part):
            because = f": {reason}" if (reason := _reason(part) or _reason(entry)) else ""
            return f"Switched off in the imported file ({mark}{because})"
    return ""


def _flag(entry: Entry) -> str:
    limit_is_over = any(name in entry for name in LIMITED_UNTIL) and not _limit(entry)
    for name, off in OFF_WHEN.items():
        is_past = name in RATE_LIMIT_FLAGS and limit_is_over
        if entry.get(name) is not None and is_true(entry[name]) is off and not is_past:
            return name
    return ""


def _status(entry: Entry) -> str:
    for name in STATUS_FIELDS:
        value = entry.get(name)
        if isinstance(value, str | int) and str(value).strip().lower() not in {*STATUS_ON, ""}:
            return f"{name} {truncate(str(value).strip(), 60)}"
    return ""


def _limit(entry: Entry) -> str:
    for name in LIMITED_UNTIL:
        until = _seconds(entry.get(name))
        if until is not None and until > time.time():
            return f"{name} {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC"
    return ""


def _seconds(value: Any) -> float | None:
    """Return the seconds since 1970 for a time in seconds, in milliseconds or as an ISO 8601 text; None for
    another value or a time after LATEST_SECONDS."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
            value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
        return number(value, 0.0, LATEST_SECONDS)
    given = number(value, 0.0, LATEST_SECONDS * 1000)
    if given is None:
        return None
    return given / 1000 if given > LATEST_SECONDS else given


def _reason(entry: Entry) -> str:
    for name in REASONS:
        value = entry.get(name)
        if isinstance(value, dict):
            value = value.get("message")
        if isinstance(value, str) and value.strip():
            return truncate(value.strip(), LONGEST_REASON)
    return ""


def is_true(value: object) -> bool:
    """Return whether a flag is true. It may also be written as a text or a number."""
    if isinstance(value, str):
        return value.strip().lower() not in FALSE_WORDS
    return bool(value)
