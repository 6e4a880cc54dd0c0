"""The filters of the list of requests, which are in the page's address. Pure, except that `since=7d` needs
the clock."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from django.db.models import Q

from dashboard.spans import SPANS
from gateway.errors import InvalidRequest
from gateway.ledger.search import FIRST_SPAN, Search
from gateway.operator_api.arguments import TRUE, before_of, search_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from gateway.models import RequestLog

PARAMETERS = (
    *("q", "account", "model", "client", "class", "session", "request_id", "status"),
    *("slower", "errors", "open", "since", "until", "sort"),
)
LONGEST_TEXT = 254
LIVE = {"open", "account", "model", "client", "class", "session", "request_id", "status", "errors", "slower"}
"""The filters that a page with live updates can have."""
WITHOUT_CONTROL = {"class", "session", "request_id", "until"}
CHIPS = {"errors", "open", "sort"}
MARKED = {**{name: name for name in sorted(WITHOUT_CONTROL)}, "slower": "slower than"}
"""Filters that are shown as a mark beside the list, with the words for them."""
SLOWEST = "slowest"
WHOLE_ID = re.compile(r"\b(?:req_)?([0-9a-f]{24})\b")
"""Matches an id that the gateway has made (gateway/telemetry/request_ids.py), also without its beginning."""
SESSION_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Matches the id that Claude Code gives a session."""
NAMES_OF_SEARCH = {"class": "request_class"}
"""The names of filters that Search names differently."""


class Mark(NamedTuple):
    """A filter in words; `without` is the address without it."""

    name: str
    value: str
    without: str


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of a page. `given` has them as they are in the address, without empty ones."""

    given: Mapping[str, str] = field(default_factory=dict)
    search: Search = field(default_factory=Search)
    before: int | None = None

    @property
    def text(self) -> str:
        return self.given.get("q", "")

    @property
    def only_open(self) -> bool:
        return self.given.get("open", "") in TRUE

    @property
    def slowest_first(self) -> bool:
        return self.given.get("sort", "") == SLOWEST

    @property
    def is_narrow(self) -> bool:
        return self.search.is_narrow or bool(self.text)

    @property
    def is_live(self) -> bool:
        """Whether the page with these filters can have live updates."""
        is_followed = "since" not in self.given or self.span is not None
        return self.before is None and is_followed and self.given.keys() <= LIVE | {"since"}

    @property
    def span(self) -> timedelta | None:
        """The span up to now that `since` names; None without one, or for a fixed time."""
        return SPANS.get(self.given.get("since", ""))

    @property
    def as_live(self) -> dict[str, str | int | bool]:
        """The filters in the form of a `watch` message."""
        names = {NAMES_OF_SEARCH.get(name, name) for name in self.given.keys() & LIVE - {"open"}}
        return {name: getattr(self.search, name) for name in sorted(names)}

    def at_first(self, now: datetime) -> Filters:
        """Return the same filters, limited to the newest FIRST_SPAN unless they read few rows."""
        if self.before is not None:
            return self
        search = self.search.at_first(now)
        if self.text and search == self.search and search.since is None and search.until is None:
            search = replace(search, since=now - FIRST_SPAN)
        return self if search == self.search else replace(self, search=search)

    def address(self, **changes: str) -> str:
        """Return the address's query with other values; "" removes a filter."""
        changed = {**self.given, **changes}
        return "?" + urlencode({name: value for name, value in changed.items() if value})

    def marks(self) -> list[Mark]:
        return [
            Mark(MARKED[name], value, self.address(**{name: ""}))
            for name, value in self.given.items()
            if name in MARKED
        ]

    def kept(self) -> dict[str, str]:
        """Return the filters for which the form has no control, so that it keeps them when another filter
        changes."""
        return {name: value for name, value in self.given.items() if name in {*WITHOUT_CONTROL, *CHIPS}}

    def matches(self, row: RequestLog) -> bool:
        """Return whether a row passes the filters, apart from the text."""
        search = self.search
        is_within = (search.since is None or row.started_at >= search.since) and (
            search.until is None or row.started_at < search.until
        )
        return is_within and search.matches(row)


@dataclass(frozen=True, slots=True)
class TextSearch:
    """What the search box finds: request ids that begin with the text, a session, or names that contain it.

    `names` are the names that contain the text, by column. Comparing a row with them takes a quarter of the
    time of searching each column.
    """

    text: str
    ids: Sequence[str]
    names: Mapping[str, Sequence[str]]

    def condition(self) -> Q:
        if not self.text:
            return Q()
        found = Q(request_id__in=self.ids) | Q(session_id=self.text) | Q(client_model__icontains=self.text)
        for column, names in self.names.items():
            found |= Q(**{f"{column}__in": names})
        return found

    def matches(self, row: RequestLog) -> bool:
        return (
            not self.text
            or row.request_id in self.ids
            or row.session_id == self.text
            or self.text.lower() in row.client_model.lower()
            or any(getattr(row, column) in names for column, names in self.names.items())
        )


def filters_of(given: Mapping[str, str]) -> Filters:
    """Return the filters in a query. Raises InvalidRequest for a value that is not valid."""
    kept = {name: _clean(given.get(name, "")) for name in PARAMETERS}
    if (whole_id := WHOLE_ID.search(kept["q"])) is not None:
        kept["q"] = f"req_{whole_id[1]}"  # copied with what stands around it, or without its beginning
    kept = {name: value for name, value in kept.items() if value}
    return Filters(kept, search_of(kept), before_of(given))


def _clean(text: str) -> str:
    return text.replace("\0", "").strip()[:LONGEST_TEXT]  # PostgreSQL cannot look for a NUL


def readable_filters(given: Mapping[str, str]) -> tuple[Filters, str]:
    """Return the filters and ""; for invalid ones no filters and an error message, with which the page shows
    no rows and has no live updates."""
    try:
        return filters_of(given), ""
    except InvalidRequest as error:
        return Filters(), error.message
