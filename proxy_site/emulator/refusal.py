"""The base of every provider's errors: what a handler raises instead of answering."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class Refusal(Exception):
    """An HTTP status with a provider's error body, and headers for it."""

    def __init__(self, status: int, body: Json, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}

    @property
    def message(self) -> str:
        """The sentence in the body; each provider puts it elsewhere."""
        return str(self.body)
