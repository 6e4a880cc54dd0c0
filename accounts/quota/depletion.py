"""When all accounts that take over from each other will be empty. Pure; times are hours from now.

In each span, every account's quota is used at a rate of its own, plus an equal part of the rates of the
accounts that are empty. That part is the same for all, so only their own rates decide which of them has least
left. A tournament tree finds it: each node knows until when its winner stays the winner (a kinetic segment
tree), so n accounts take n log² n steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from heapq import heapify, heappop
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Line = tuple[float, float]
"""A height and a slope."""
NOTHING = 1e-9
"""A remaining fraction up to this is empty; rounding may leave that much."""


@dataclass(slots=True)
class Running:
    """A limit of one account while time passes. `account` is its number, `reset_at` infinite when unknown."""

    account: int
    span: str
    remaining: float
    rate: float
    reset_at: float


def empty_at(limits: list[Running], last_reset: float) -> float | None:
    """Let time pass until all accounts are empty, and return when that is. None when it does not happen
    before `last_reset`. Changes `limits` to their values at that time."""
    race = _Race(limits)
    while race.ready:
        until = race.next_change()
        if until >= last_reset:
            return None
        race.pass_to(until)
    return race.at


class _Tournament:
    """A tournament that finds the lowest of many lines at the present time; each slot holds one line or none.
    A line (height, slope) has the value height - slope * time. Time begins at 0."""

    def __init__(self, size: int, lines: Mapping[int, Line]) -> None:
        """`lines` has the first lines, by slot. They are compared once, in linear time."""
        self._first = 1 << max(0, size - 1).bit_length()
        self._lines = [lines.get(slot, (math.inf, 0.0)) for slot in range(size)]
        self._best = [-1] * (2 * self._first)
        for slot in lines:
            self._best[self._first + slot] = slot
        self.valid_until = [math.inf] * (2 * self._first)
        for node in range(self._first - 1, 0, -1):
            self._judge(node, 0.0)

    @property
    def best(self) -> int:
        """The slot of the lowest line until `valid_until[1]`; -1 without a line."""
        return self._best[1]

    def line(self, slot: int) -> Line:
        return self._lines[slot]

    def put(self, slot: int, line: Line | None, now: float) -> None:
        node = self._first + slot
        self._best[node] = -1 if line is None else slot
        if line is not None:
            self._lines[slot] = line
        while node := node // 2:
            self._judge(node, now)

    def pass_to(self, now: float, node: int = 1) -> None:
        if self.valid_until[node] <= now:
            self.pass_to(now, 2 * node)
            self.pass_to(now, 2 * node + 1)
            self._judge(node, now)

    def _judge(self, node: int, now: float) -> None:
        left, right = self._best[2 * node], self._best[2 * node + 1]
        winner, until = max(left, right), math.inf
        if left >= 0 and right >= 0:
            winner, until = self._winner(left, right, now)
        self._best[node] = winner
        self.valid_until[node] = min(until, self.valid_until[2 * node], self.valid_until[2 * node + 1])

    def _winner(self, one: int, other: int, now: float) -> tuple[int, float]:
        slower, faster = (one, other) if self._lines[one][1] <= self._lines[other][1] else (other, one)
        (height, slope), (faster_height, faster_slope) = self._lines[slower], self._lines[faster]
        if slope == faster_slope:
            return (slower if height <= faster_height else faster), math.inf
        met = (faster_height - height) / (faster_slope - slope)
        return (faster, math.inf) if met <= now else (slower, met)


@dataclass(slots=True)
class _Span:
    """The limits of one span, by account. `handed_over` is what the empty accounts used in an hour, and
    `shared` how much of it each of the others has used so far."""

    tournament: _Tournament
    handed_over: float = 0.0
    shared: float = 0.0

    def left_of(self, account: int, at: float) -> float:
        height, slope = self.tournament.line(account)
        return height - slope * at - self.shared

    def next_empty(self, at: float, ready: int) -> float:
        """Return when the account with the least left will be empty."""
        best = self.tournament.best
        if best < 0:
            return math.inf
        burned = self.tournament.line(best)[1] + self.handed_over / ready
        return at + max(0.0, self.left_of(best, at)) / burned if burned > 0 else math.inf


@dataclass(slots=True)
class _Race:
    limits: list[Running]
    at: float = 0.0
    ready: set[int] = field(default_factory=set)
    """The accounts that are not empty."""
    _spans: dict[str, _Span] = field(default_factory=dict)
    _by_account: dict[int, list[Running]] = field(default_factory=dict)
    _resets: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number, one in enumerate(self.limits):
            self._by_account.setdefault(one.account, []).append(one)
            if one.reset_at < math.inf:
                self._resets.append((one.reset_at, number))
        heapify(self._resets)
        self.ready = {account for account in self._by_account if self._has_all(account)}
        lines: dict[str, dict[int, Line]] = {one.span: {} for one in self.limits}
        for one in self.limits:
            if one.account in self.ready:
                lines[one.span][one.account] = (one.remaining, one.rate)
        size = max(self._by_account, default=-1) + 1
        self._spans = {span: _Span(_Tournament(size, own)) for span, own in lines.items()}
        for account in self._by_account.keys() - self.ready:
            self._hand_over(account, 1)

    def next_change(self) -> float:
        """Return when the next limit is reset or empty, or another account becomes the one with the least
        left."""
        changes = [self._resets[0][0] if self._resets else math.inf]
        for span in self._spans.values():
            changes += [span.next_empty(self.at, len(self.ready)), span.tournament.valid_until[1]]
        return min(changes)

    def pass_to(self, at: float) -> None:
        """Let time pass to `at`, which must not be after `next_change`."""
        empty = [
            (span.tournament.best, name)
            for name, span in self._spans.items()
            if span.next_empty(self.at, len(self.ready)) <= at
        ]
        for span in self._spans.values():
            span.shared += span.handed_over / len(self.ready) * (at - self.at)
            span.tournament.pass_to(at)
        self.at = at
        reset = self._reset()
        self._stop_empty([(account, name) for account, name in empty if account not in reset])
        for account in reset - self.ready:
            if self._has_all(account):
                self._hand_over(account, -1)
                self._start(account)

    def _reset(self) -> set[int]:
        """Refill the limits whose reset time has come, and return the accounts that they belong to."""
        accounts = set()
        while self._resets and self._resets[0][0] <= self.at:
            one = self.limits[heappop(self._resets)[1]]
            one.remaining, one.reset_at = 1.0, math.inf
            accounts.add(one.account)
            if one.account in self.ready:
                self._run(one)
        return accounts

    def _stop_empty(self, empty: list[tuple[int, str]]) -> None:
        """Stop these accounts, which are empty in these spans, and all others that have nothing left."""
        for account, name in empty:
            self._stop(account, name)
        for name, span in self._spans.items():
            while (best := span.tournament.best) >= 0 and span.left_of(best, self.at) <= NOTHING:
                self._stop(best, name)

    def _stop(self, account: int, name: str) -> None:
        if account in self.ready:
            self.ready.remove(account)
            for one in self._by_account[account]:
                span = self._spans[one.span]
                one.remaining = span.left_of(account, self.at)
                span.tournament.put(account, None, self.at)
            self._hand_over(account, 1)
        for one in self._by_account[account]:
            if one.span == name:
                one.remaining = 0.0  # not what rounding left

    def _has_all(self, account: int) -> bool:
        """Return whether something is left of each of the account's limits."""
        return all(one.remaining > NOTHING for one in self._by_account[account])

    def _start(self, account: int) -> None:
        self.ready.add(account)
        for one in self._by_account[account]:
            self._run(one)

    def _run(self, one: Running) -> None:
        span = self._spans[one.span]
        line = (one.remaining + one.rate * self.at + span.shared, one.rate)
        span.tournament.put(one.account, line, self.at)

    def _hand_over(self, account: int, sign: int) -> None:
        for one in self._by_account[account]:
            self._spans[one.span].handed_over += sign * one.rate
