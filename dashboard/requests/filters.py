"""The filters of the list, as its address has them. Pure, apart from the clock that `since=7d` needs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from django.db.models import Q

from gateway.errors import InvalidRequest
from gateway.ledger.search import FIRST_SPAN, Search
from gateway.operator_api.arguments import TRUE, before_of, search_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from gateway.models import RequestLog

PARAMETERS = (
    *("q", "account", "model", "client", "class", "session", "request_id", "status"),
    *("slower", "errors", "open", "since", "until", "sort"),
)
LONGEST_TEXT = 254
LIVE = {"open", "account", "model", "client", "class", "session", "request_id", "status", "errors", "slower"}
"""Those that a page which follows what happens can have."""
WITHOUT_CONTROL = {"class", "session", "request_id", "until"}
CHIPS = {"errors", "open", "sort"}
MARKED = {**{name: name for name in sorted(WITHOUT_CONTROL)}, "slower": "slower than"}
"""Filters that a mark beside the list shows, with the words for it."""
SLOWEST = "slowest"
NAMES_OF_SEARCH = {"class": "request_class"}
"""Where a filter has another name in Search."""


class Mark(NamedTuple):
    """A filter in words; `without` is the address without it."""

    name: str
    value: str
    without: str


@dataclass(frozen=True, slots=True)
class Filters:
    """`given` has the filters as they are in the address, without empty ones."""

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
        """Whether the newest page with these filters can follow what happens."""
        return self.before is None and self.given.keys() <= LIVE

    @property
    def as_live(self) -> dict[str, str | int | bool]:
        """The filter of a `watch` message."""
        names = {NAMES_OF_SEARCH.get(name, name) for name in self.given.keys() & LIVE - {"open"}}
        return {name: getattr(self.search, name) for name in sorted(names)}

    def at_first(self, now: datetime) -> Filters:
        """The same filters, going back only FIRST_SPAN unless they read little."""
        if self.before is not None:
            return self
        search = self.search.at_first(now)
        if self.text and search == self.search and search.since is None and search.until is None:
            search = replace(search, since=now - FIRST_SPAN)
        return self if search == self.search else replace(self, search=search)

    def address(self, **changes: str) -> str:
        """The query of an address with other values; "" leaves a filter out."""
        changed = {**self.given, **changes}
        return "?" + urlencode({name: value for name, value in changed.items() if value})

    def marks(self) -> list[Mark]:
        return [
            Mark(MARKED[name], value, self.address(**{name: ""}))
            for name, value in self.given.items()
            if name in MARKED
        ]

    def kept(self) -> dict[str, str]:
        """What the form has no control for, and has to keep when another filter changes."""
        return {name: value for name, value in self.given.items() if name in {*WITHOUT_CONTROL, *CHIPS}}

    def matches(self, row: RequestLog) -> bool:
        """Whether a row passes, apart from the text."""
        search = self.search
        is_within = (search.since is None or row.started_at >= search.since) and (
            search.until is None or row.started_at < search.until
        )
        return is_within and search.matches(row)


@dataclass(frozen=True, slots=True)
class TextSearch:
    """What the search box finds: ids that its text begins, a session, or a part of a name.

    `names` are those that contain the text, by column: a row is compared with them in a quarter of the time
    that looking for a part of each column takes.
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
    """Raises InvalidRequest for a value that is none."""
    kept = {name: _clean(given.get(name, "")) for name in PARAMETERS}
    kept = {name: value for name, value in kept.items() if value}
    return Filters(kept, search_of(kept), before_of(given))


def _clean(text: str) -> str:
    return text.replace("\0", "").strip()[:LONGEST_TEXT]  # PostgreSQL cannot look for a NUL


def readable_filters(given: Mapping[str, str]) -> tuple[Filters, str]:
    """The filters, and what is wrong with them; then they match nothing and are not followed."""
    try:
        return filters_of(given), ""
    except InvalidRequest as error:
        return Filters(), error.message
