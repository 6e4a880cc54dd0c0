"""Tables for a terminal: what does not fit is left out, never cut in half. In a pipe nothing is."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    Row = Sequence[str]

GAP = "  "
SHORTEST_NAME = 8
SHORTEST_TEXT = 12


def table(
    columns: Row, rows: Sequence[Row], *, names: int = 1, optional: Row = (), whole: Collection[str] = ()
) -> str:
    """The first columns, so many as `names` says, are names, which are shortened when there is no room, but
    for the `whole` ones; the others are numbers. Of `optional` columns one after the other is left out until
    the table fits."""
    layout = Layout(columns, rows, names=names, optional=optional, whole=whole)
    lines = [layout.head, *layout.lines(rows)]
    if layout.left_out:
        lines.append(layout.left_out)
    return "\n".join(lines)


class Layout:
    """How wide each column is; for rows that come one after the other. With `has_text` the last column is
    text, which ends where the terminal does. A name is not shortened below `enough` for the sake of an
    optional column."""

    def __init__(
        self,
        columns: Row,
        rows: Sequence[Row],
        *,
        names: int = 1,
        optional: Row = (),
        whole: Collection[str] = (),
        has_text: bool = False,
        enough: int = SHORTEST_NAME,
    ) -> None:
        self._columns, self._names = columns, names
        self._rows = rows
        self._text = len(columns) - 1 if has_text else None
        self._fixed = {columns.index(name) for name in whole}
        self._width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        self._shown = list(range(len(columns)))
        for name in optional:
            if self._width is None or _sum(self._truncate(0, enough)) <= self._width:
                break
            self._shown.remove(columns.index(name))
        self._widths = self._truncate(self._width)

    @property
    def head(self) -> str:
        cells = []
        for index, width in self._widths.items():
            name = self._columns[index]
            cells.append(self._cell(name if len(name) <= width else _without_end(name, width), index, width))
        return GAP.join(cells).rstrip()

    @property
    def left_out(self) -> str:
        """A line that says so; empty when all columns are there."""
        names = [name for index, name in enumerate(self._columns) if index not in self._shown]
        return f"(left out for want of room: {', '.join(names)})" if names else ""

    def lines(self, rows: Sequence[Row]) -> Iterator[str]:
        """Different names stay different, however short."""
        short = {
            index: shortened([row[index] for row in (*self._rows, *rows)], self._widths[index])
            for index in self._widths
            if self._is_name(index) and self._width is not None
        }
        for row in rows:
            cells = [
                short[index][row[index]].ljust(width)
                if index in short
                else self._cell(row[index], index, width)
                for index, width in self._widths.items()
            ]
            line = GAP.join(cells).rstrip()
            is_cut = self._text is not None and self._width is not None and len(line) > self._width
            yield f"{line[: (self._width or 0) - 1]}…" if is_cut else line

    def _is_name(self, index: int) -> bool:
        return index < self._names and index not in self._fixed

    def _cell(self, text: str, index: int, width: int) -> str:
        return text.ljust(width) if index < self._names or index == self._text else text.rjust(width)

    def _truncate(self, width: int | None, shortest: int = SHORTEST_NAME) -> dict[int, int]:
        """Of each column that is shown; the longest name gives way first."""
        widths = {
            index: SHORTEST_TEXT
            if index == self._text
            else max(len(row[index]) for row in (self._columns, *self._rows))
            for index in self._shown
        }
        names = [index for index in self._shown if self._is_name(index)]
        while width is not None and names and _sum(widths) > width:
            longest = max(names, key=widths.__getitem__)
            if widths[longest] <= shortest:
                break
            widths[longest] -= 1
        return widths


def _sum(widths: dict[int, int]) -> int:
    return sum(widths.values()) + len(GAP) * (len(widths) - 1)


def shortened(names: Sequence[str], width: int) -> dict[str, str]:
    """By name; two different names never become the same text."""
    different = dict.fromkeys(names)
    for cut in (_without_end, _without_middle):
        shown = {name: name if len(name) <= width else cut(name, width) for name in different}
        if len(set(shown.values())) == len(different):
            return shown
    return {name: _numbered(name, number, width) for number, name in enumerate(different, 1)}


def _without_end(name: str, width: int) -> str:
    return f"{name[: width - 1]}…"


def _without_middle(name: str, width: int) -> str:
    head = (width - 1) // 2
    return f"{name[:head]}…{name[len(name) - (width - 1 - head) :]}"


def _numbered(name: str, number: int, width: int) -> str:
    return f"{name[: width - 1 - len(str(number))]}…{number}"


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
