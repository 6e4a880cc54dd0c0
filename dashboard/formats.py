"""Numbers, durations, sizes and shares as the pages show them.

static/dashboard/formats.js is the same for values that arrive while a page is open;
tests/dashboard/formats.json holds the cases of both. A value that is unknown or does not apply is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

NONE = "\N{EN DASH}"
UNKNOWN = "?"
SPACE = "\N{NO-BREAK SPACE}"


def count(number: float | None) -> str:
    """Return a number as text: "12,034"."""
    return NONE if number is None else f"{round(number):,}"


def short_count(number: float | None) -> str:
    """Return a number as text: "12,034"; from a million on with three digits: "41.2 M", "412 M", "1.20 G"."""
    if number is None or number < 999_950:
        return count(number)
    for unit in ("M", "G", "T"):
        number /= 1000 if unit != "M" else 1_000_000
        if number < 999.5:
            break
    return f"{_three_digits(number)}{SPACE}{unit}"


def seconds(number: float | None) -> str:
    """Return a duration as text: "0.51 s", "6.0 s", "41 s", "2 min 3 s", "2 h 3 min", "3 d 4 h"."""
    if number is None:
        return NONE
    if number < 9.95:
        return f"{max(0.0, number):.{2 if number < 0.995 else 1}f}{SPACE}s"
    whole = round(number)
    for seconds_each, unit, smaller_each, smaller in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= seconds_each:
            return (
                f"{whole // seconds_each}{SPACE}{unit} {whole % seconds_each // smaller_each}{SPACE}{smaller}"
            )
    return f"{whole}{SPACE}s"


def age(number: float) -> str:
    """Return the time since something, which the page counts up: "4 s", and from a minute on the form of
    `seconds`."""
    return f"{max(0, int(number))}{SPACE}s" if number < 60 else seconds(number)


def size(number: float | None) -> str:
    """Return a number of bytes as text: "812 B", "126 kB", "1.3 MB"."""
    if number is None:
        return NONE
    if number < 1000:
        return f"{round(number)}{SPACE}B"
    if number < 999_500:
        return f"{round(number / 1000)}{SPACE}kB"
    if number < 999_950_000:
        return f"{number / 1_000_000:.1f}{SPACE}MB"
    return f"{number / 1_000_000_000:.1f}{SPACE}GB"


def share(fraction: float | None) -> str:
    """Return a share as text: "1.3 %", "41 %". Shares above zero are at least "<1 %", those below one at most
    "99 %"; an unknown one is "?"."""
    if fraction is None:
        return UNKNOWN
    percent = fraction * 100
    if 0 < percent < 1:
        return f"<1{SPACE}%"
    if 1 <= percent < 9.95:
        return f"{percent:.1f}{SPACE}%"
    return f"{round(percent) if percent >= 100 else min(99, round(percent))}{SPACE}%"


def short_id(text: str) -> str:
    """Return an id of a person's length: "3f1c8a02…9b1e"; short ones as they are."""
    return text if len(text) <= 16 else f"{text[:8]}…{text[-4:]}"


def _three_digits(number: float) -> str:
    places = 2 if number < 9.995 else 1 if number < 99.95 else 0
    return f"{number:.{places}f}"


FORMATS: dict[str, Callable[[float | None], str]] = {
    "count": count,
    "short_count": short_count,
    "seconds": seconds,
    "size": size,
    "share": share,
}
"""The formats by the names that templates and pages use."""
