"""Tables for a terminal, whose columns are shortened or left out to fit its width. In a pipe they are
complete."""

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
    """Return the table as text. The first `names` columns are names, which are shortened when the terminal is
    too narrow, except the `whole` ones; the others are numbers. `optional` columns are left out one by one
    until the table fits."""
    layout = Layout(columns, rows, names=names, optional=optional, whole=whole)
    lines = [layout.head, *layout.lines(rows)]
    if layout.left_out:
        lines.append(layout.left_out)
    return "\n".join(lines)


class Layout:
    """The widths of the columns, also for rows that are printed one by one. With `has_text` the last column
    is text, cut at the terminal's width. An optional column is left out rather than names shortened below
    `enough` characters."""

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
        """A line that names the columns left out; empty when there is none."""
        names = [name for index, name in enumerate(self._columns) if index not in self._shown]
        return f"(left out for want of room: {', '.join(names)})" if names else ""

    def lines(self, rows: Sequence[Row]) -> Iterator[str]:
        """Yield the rows as lines. Different names stay different when shortened."""
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
        """Return the width of each column shown; the longest name is shortened first."""
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
    """Shortened forms by name; different names have different forms."""
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
    """Return a number as text: 1,234, and from a million on 12.3M, 1.2G."""
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if abs(value) >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """Return a duration as text: 0.82 s, 45 s, 12 min, 3 h 20 min; "-" for None."""
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
