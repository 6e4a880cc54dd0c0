"""Parses the arguments in the addresses of the operator's API and of the pages. All functions raise
InvalidRequest."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from django.utils import timezone

from gateway.errors import InvalidRequest
from gateway.ledger.search import Search
from gateway.ledger.time_arguments import NotATime, parse_seconds, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

Value = TypeVar("Value")
TRUE = {"true", "1"}


def search_of(given: Mapping[str, str]) -> Search:
    return Search(
        request_id=given.get("request_id", ""),
        account=given.get("account", ""),
        model=given.get("model", ""),
        client=given.get("client", ""),
        request_class=given.get("class", ""),
        session=given.get("session", ""),
        status=number_of(given, "status", 100, 599),
        errors=given.get("errors", "") in TRUE,
        slower=seconds_of(given, "slower"),
        since=moment_of(given, "since"),
        until=moment_of(given, "until"),
    )


def before_of(given: Mapping[str, str]) -> int | None:
    """Return the id of the last row on the previous page; None for the first page."""
    return number_of(given, "before", 0, 2**63 - 1)


def moment_of(given: Mapping[str, str], name: str) -> datetime | None:
    return _time_of(given, name, lambda text: parse_time(text, timezone.localtime()))


def seconds_of(given: Mapping[str, str], name: str) -> float | None:
    return _time_of(given, name, parse_seconds)


def _time_of(given: Mapping[str, str], name: str, parse: Callable[[str], Value]) -> Value | None:
    text = given.get(name, "")
    try:
        return parse(text) if text else None
    except NotATime as error:
        raise InvalidRequest(f"{name}: {error}") from error


def number_of(given: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    text = given.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
        raise InvalidRequest(f"{name}: must be a whole number from {low} to {high}.")
    return int(text)
