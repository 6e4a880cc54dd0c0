"""A client's error message as the operator's pages show it: with full names of accounts, and times in the
browser's zone.

Clients get shortened addresses, and times in the server's zone (gateway/relay/error_messages.py).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache

from accounts.models import Account
from accounts.pool.labels import short_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\dZ"
"""The form of a time in these texts, which static/dashboard/times.js has, too."""
LABEL = re.compile(r"[^\s,:…]{1,2}…[^\s,:…]?@[^\s,:…]?…(?: #\d+)?")
TRIED = re.compile(r"(\d+ accounts tried for \S+): ([^.]+)\.")
"""Matches the accounts with their reasons (gateway/relay/error_messages.py)."""
DAY, HOUR = r"\d\d [A-Z][a-z]{2}", r"(?:[01]\d|2[0-3]):[0-5]\d"
CLOCK = re.compile(rf"(?:({DAY}) )?\b({HOUR}) ([A-Z]{{3,5}}|[+-]\d\d(?:\d\d)?)\b(?:, (?:{DAY} )?{HOUR} UTC)?")
"""Matches a time as accounts.values.times writes it: `clock` writes one, `clocks` adds the same in UTC."""
NEXT_TRY = re.compile(rf"Next try in [^()]{{1,40}} \(({INSTANT})\)")
"""Matches a waiting time counted from the request (gateway/relay/error_messages.py). It has passed when a
page shows it."""
AT_NEXT_TRY = re.compile(rf"Next try at ({INSTANT})")
BROKEN = re.compile(r"^The answer broke off: (?:the connection broke \(([^()]+)\)|([^.]+))\.")
"""Matches what is said of an answer that broke off (gateway/relay/answer.py)."""
SAME_TIME = re.compile(rf"(until ({INSTANT})[^.]*\.) Next try at \2\.?")
"""Matches a time of the next try that has been said before."""
ADDRESS = re.compile(r"[^\s,:()]+@[^\s,:()]+[^\s,:().]")
"""Matches the e-mail address of an account."""
NAMES_KEY = "dashboard:names-by-label"
NAMES_SECONDS = 60


def names_by_label() -> Mapping[str, str]:
    """Return the names of accounts by their shortened forms. Makes one query a minute."""
    return cache.get_or_set(NAMES_KEY, _read_names, NAMES_SECONDS) or {}


def names_read_before() -> Mapping[str, str]:
    """Return what `names_by_label` returned last, for code that must not query the database."""
    return cache.get(NAMES_KEY) or {}


def operator_text(text: str, after: datetime, names: Callable[[], Mapping[str, str]] = names_by_label) -> str:
    """Return the text of an error as the operator reads it, with instants such as "2026-11-26T14:23Z"
    (INSTANT) in place of times of day and waiting times, and with the names of accounts in full. `after` is
    when the request began: the times in its error are later. `names` is called only for a text with a
    shortened name."""
    text = CLOCK.sub(lambda found: _instant(found, after), text)
    text = NEXT_TRY.sub(r"Next try at \1", text)
    if not LABEL.search(text):
        return text
    known = names()
    return LABEL.sub(lambda found: known.get(found[0], found[0]), text)


def with_one_reason(text: str) -> str:
    """Return the text without its accounts and model if all of them failed for the same reason."""
    if (found := TRIED.match(text)) is None:
        return text
    reasons = {LABEL.sub("", one, count=1).strip() for one in found[2].split(", ")}
    tried = found[1].partition(" for ")[0]
    return f"{tried}: {reasons.pop()}.{text[found.end() :]}" if len(reasons) == 1 else text


def in_short(text: str) -> str:
    """Return a text of `operator_text` in fewer words."""
    text = BROKEN.sub(lambda found: f"Broke off: {found[1] or found[2]}.", text)
    return SAME_TIME.sub(r"\1", text)


def next_try_is_past(text: str) -> bool:
    """Return whether the time of the next try has passed in a text of `operator_text`, whose times are full
    minutes."""
    found = AT_NEXT_TRY.search(text)
    return found is not None and datetime.fromisoformat(found[1]) + timedelta(minutes=1) < datetime.now(UTC)


def _read_names() -> dict[str, str]:
    emails = dict(Account.objects.values_list("pk", "email"))
    return {label: emails[key] for key, label in short_labels(emails).items()}


def _instant(found: re.Match[str], after: datetime) -> str:
    zone = UTC if found[3] == "UTC" else settings.LOCAL_TIME_ZONE
    begun = after.astimezone(zone)
    try:
        at = datetime.strptime(f"{begun.year} {found[1] or f'{begun:%d %b}'} {found[2]}", "%Y %d %b %H:%M")
        at = at.replace(tzinfo=zone)
        if at < after - timedelta(minutes=1):
            at = at.replace(year=at.year + 1) if found[1] else at + timedelta(days=1)
    except ValueError:  # no day of that year
        return found[0]
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
