"""Tables that fit the terminal, and stay whole in a pipe."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDE = 10_000
"""Nothing is cut in a pipe."""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """The first `left` columns hold names, which are shortened when there is no room; the others numbers."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for number, name in enumerate(columns):
        is_name = number < left
        shown.add_column(
            name,
            justify="left" if is_name else "right",
            no_wrap=True,
            overflow="ellipsis" if is_name else "fold",
            min_width=6 if is_name else len(name),
        )
    for row in rows:
        shown.add_row(*row)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
    console = Console(width=width, color_system=None, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(shown, end="")
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))


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
