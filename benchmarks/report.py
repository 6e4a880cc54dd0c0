"""The results as tables of Markdown, which read well in a terminal, too. Figures are medians of rounds."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.endurance import HeldStreams, ManyRequests
    from benchmarks.measure import Measurement, PacedMeasurement, PacedRound, Throughput
    from benchmarks.plan import PreparedRequest

LARGEST_STREAM_KB = 40


@dataclass(slots=True)
class Results:
    machine: str
    plan: PreparedRequest
    throughput: list[Throughput] = field(default_factory=list)
    paced: list[PacedRound] = field(default_factory=list)
    requests: ManyRequests | None = None
    held: HeldStreams | None = None


def machine() -> str:
    python = f"Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {python}, {platform.system()} {platform.machine()}"


def as_text(results: Results) -> str:
    rounds = f"medians of {results.plan.rounds} rounds" if results.plan.rounds > 1 else "one round"
    parts = [
        f"{results.machine}; {rounds}; the ratio is gateway to relay in the same round.",
        _throughput_table(results.throughput),
        _paced_table(results.paced),
        _requests_line(results.requests),
        _held_line(results.held),
    ]
    return "\n\n".join(part for part in parts if part)


# Throughput

# Column -> its value in a measurement, and how it is written
COLUMNS: dict[str, tuple[Callable[[Measurement], float], str]] = {
    "requests/s": (lambda m: m.requests_per_second, ",.0f"),
    "first event p50, ms": (lambda m: m.first_event_p50 * 1e3, ".2f"),
    "p99, ms": (lambda m: m.first_event_p99 * 1e3, ".2f"),
    "CPU a request, µs": (lambda m: m.cpu_seconds_per_request * 1e6, ",.0f"),
    "peak memory, MB": (lambda m: m.peak_memory_kb / 1024, ".0f"),
}


def _throughput_table(all_rounds: list[Throughput]) -> str:
    if not all_rounds:
        return ""
    header = ["workload", "at once", "", *COLUMNS, "errors"]
    return table(header, [row for measured in all_rounds for row in _throughput_rows(measured)])


def _throughput_rows(measured: Throughput) -> list[list[str]]:
    relays = [round_.relay for round_ in measured.rounds]
    gateways = [round_.gateway for round_ in measured.rounds]
    return [
        [measured.workload, str(measured.at_once), "relay", *_values(relays), _errors(relays)],
        ["", "", "gateway", *_values(gateways), _errors(gateways)],
        ["", "", "ratio", *_ratios(relays, gateways), ""],
    ]


def _values(measurements: list[Measurement]) -> list[str]:
    return [format(median(map(value, measurements)), form) for value, form in COLUMNS.values()]


def _ratios(relays: list[Measurement], gateways: list[Measurement]) -> list[str]:
    return [
        _ratio([value(relay) for relay in relays], [value(gateway) for gateway in gateways])
        for value, _ in COLUMNS.values()
    ]


def _ratio(relay: list[float], gateway: list[float]) -> str:
    """The ratio of two figures; a dash where the relay's is too small to be measured."""
    if not all(relay):
        return "-"
    ratio = median(ours / theirs for ours, theirs in zip(gateway, relay, strict=True))
    return f"{ratio:.2g}" if ratio < 100 else f"{ratio:.0f}"


def _errors(measurements: Sequence[Measurement | PacedMeasurement]) -> str:
    return str(sum(measurement.errors for measurement in measurements))


# Paced streams

PACED_COLUMNS: dict[str, tuple[Callable[[PacedMeasurement], float], str]] = {
    "first event p50, ms": (lambda m: m.first_event_p50 * 1e3, ".2f"),
    "p99, ms": (lambda m: m.first_event_p99 * 1e3, ".2f"),
    "delay of an event p50, ms": (lambda m: m.delay_p50 * 1e3, ".2f"),
    "delay p99, ms": (lambda m: m.delay_p99 * 1e3, ".2f"),
    "CPU an event, µs": (lambda m: m.cpu_seconds_per_event * 1e6, ",.0f"),
}


def _paced_table(rounds: list[PacedRound]) -> str:
    if not rounds:
        return ""
    header = ["workload", "at once", "", *PACED_COLUMNS, "errors"]
    relays = [round_.relay for round_ in rounds]
    gateways = [round_.gateway for round_ in rounds]
    return table(
        header,
        [
            ["W3", str(rounds[0].streams), "relay", *_paced_values(relays), _errors(relays)],
            ["", "", "gateway", *_paced_values(gateways), _errors(gateways)],
        ],
    )


def _paced_values(measurements: list[PacedMeasurement]) -> list[str]:
    return [format(median(map(value, measurements)), form) for value, form in PACED_COLUMNS.values()]


# Endurance


def _requests_line(many: ManyRequests | None) -> str:
    return f"{many.requests:,} requests of W2, each answer checked: {many.errors} errors." if many else ""


def _held_line(held: HeldStreams | None) -> str:
    if held is None:
        return ""
    comparison = "below" if held.kb_per_stream < LARGEST_STREAM_KB else "ABOVE"
    return (
        f"{held.streams} idle streams held for {held.seconds:g} s: {held.errors} errors,"
        f" {held.kb_per_stream:.1f} kB of memory each ({comparison} {LARGEST_STREAM_KB} kB);"
        f" the process had {held.memory_before_kb / 1024:.0f} MB before."
    )


def table(header: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in [header, rule, *rows]
    )
