"""The order in which the base URLs of an upstream are tried."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

FAILURES_TO_AVOID = 5
AVOIDED_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class FailingEndpoint:
    """A base URL whose last call failed."""

    base: str
    failures: int
    """The number of failures in a row."""
    avoided_seconds: float
    """The seconds for which it is still tried last; 0 when it is not."""


class EndpointHealth:
    """Consecutive failures of each base URL.

    After FAILURES_TO_AVOID of them it is tried last for AVOIDED_SECONDS. It is never left out, since any of
    them may recover first when all fail.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failures: dict[str, int] = {}
        self._avoided_until: dict[str, float] = {}

    def in_order(self, bases: list[str]) -> list[str]:
        if not self._avoided_until:
            return bases
        now = self._now()
        return sorted(bases, key=lambda base: self._avoided_until.get(base, 0.0) > now)

    def failing(self) -> list[FailingEndpoint]:
        now = self._now()
        return [
            FailingEndpoint(base, failures, max(0.0, self._avoided_until.get(base, 0.0) - now))
            for base, failures in self._failures.items()
        ]

    def succeeded(self, base: str) -> None:
        if self._failures:
            self._failures.pop(base, None)
            self._avoided_until.pop(base, None)

    def failed(self, base: str) -> None:
        self._failures[base] = self._failures.get(base, 0) + 1
        if self._failures[base] >= FAILURES_TO_AVOID:
            self._avoided_until[base] = self._now() + AVOIDED_SECONDS
            logger.warning(
                "%s has failed %d times in a row; other addresses are tried first", base, self._failures[base]
            )
