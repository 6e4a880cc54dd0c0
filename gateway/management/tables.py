"""Tables for a terminal: what does not fit is left out, never cut in half. In a pipe nothing is."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = "  "
SHORTEST_NAME = 8


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, names: int = 1, optional: Sequence[str] = ()
) -> str:
    """The first columns, so many as `names` says, are names, which are shortened when there is no room; the
    others are numbers. Of `optional` columns one after the other is left out until the table fits."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    shown = list(range(len(columns)))
    for name in optional:
        if width is None or _least(columns, rows, shown, names) <= width:
            break
        shown.remove(columns.index(name))
    widths = _widths(columns, rows, shown, names, width)
    lines = [_line(row, widths, names) for row in (columns, *rows)]
    left_out = [columns[index] for index in range(len(columns)) if index not in shown]
    if left_out:
        lines.append(f"(left out for want of room: {', '.join(left_out)})")
    return "\n".join(lines)


def _widths(
    columns: Sequence[str], rows: Sequence[Sequence[str]], shown: Sequence[int], names: int, width: int | None
) -> dict[int, int]:
    """Of each column that is shown; the longest name gives way first."""
    widths = {index: max(len(row[index]) for row in (columns, *rows)) for index in shown}
    while width is not None and sum(widths.values()) + len(GAP) * (len(widths) - 1) > width:
        longest = max(range(names), key=widths.__getitem__)
        if widths[longest] <= SHORTEST_NAME:
            break
        widths[longest] -= 1
    return widths


def _least(columns: Sequence[str], rows: Sequence[Sequence[str]], shown: Sequence[int], names: int) -> int:
    widths = _widths(columns, rows, shown, names, 0)
    return sum(widths.values()) + len(GAP) * (len(widths) - 1)


def _line(row: Sequence[str], widths: dict[int, int], names: int) -> str:
    cells = [
        _shortened(row[index], width).ljust(width) if index < names else row[index].rjust(width)
        for index, width in widths.items()
    ]
    return GAP.join(cells).rstrip()


def _shortened(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 1]}…"


def number(value: float) -> str:
    """1,234 as it is; more than a million as 12.3M."""
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if abs(value) >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """0.82 s, 45 s, 12 min, 3 h 20 min."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
