"""Everything that goes wrong upstream, one row a fault, and what a client must see of it.

docs/reliability.md shows this table; tests/faults/test_reliability_page.py compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["answered", "error"]


@dataclass(frozen=True)
class Fault:
    """`fault` and `parameters` are the emulator's; it hits one account, and the other two are well."""

    name: str
    fault: str
    parameters: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome = "answered"
    status: int = 200
    error_type: str = ""
    account_state: str = "ok"
    cooldowns: bool = False
    """The account is in a cooldown for that quota afterwards."""
    times: int | None = None
    method: str | None = None

    @property
    def expectation(self) -> str:
        """In words, for the page."""
        parts = ["answered" if self.outcome == "answered" else f"{self.status} {self.error_type}"]
        if self.cooldowns:
            parts.append("the account cools down")
        if self.account_state != "ok":
            parts.append(f"the account becomes {self.account_state}")
        return ", ".join(parts)


def _client_error(name: str, fault: str, status: int, error_type: str, **parameters: Any) -> Fault:
    return Fault(name, fault, parameters, outcome="error", status=status, error_type=error_type)


NOT_A_NUMBER = {
    "status": 429,
    "body": {"error": {"code": 429, "message": "Too many requests.", "status": "RESOURCE_EXHAUSTED"}},
    "headers": {"retry-after": "nan"},
}

BEFORE_THE_ANSWER = [
    Fault("connection reset before the headers", "close_before_headers"),
    Fault("connection reset after the first byte", "reset_after_first_byte"),
    Fault("200 with an error as its body", "ok_with_error_body"),
    Fault("200 with an empty body", "ok_with_empty_body"),
    Fault("200 with an HTML page", "ok_with_html"),
    Fault("an answer without content", "empty_answer"),
    Fault("401, the access token has expired", "unauthenticated", times=1),
    Fault("401, again and again", "unauthenticated", cooldowns=True),
    Fault("403, the account must be verified", "verification_required", account_state="needs_verification"),
    Fault("403, the account was disabled", "account_disabled", account_state="disabled_by_provider"),
    Fault("403, no licence", "no_licence", cooldowns=True),
    Fault("403, the project is refused", "wrong_project", cooldowns=True),
    Fault("403, no reason", "permission_denied", cooldowns=True),
    Fault("404, a model this account lacks", "not_found"),
    Fault("408", "request_timeout"),
    Fault("429, a second", "rate_limited", {"delay": 1.0}, times=1),
    Fault("429, a minute", "rate_limited", {"delay": 60.0}, cooldowns=True),
    Fault("429, two hours", "quota_exhausted", cooldowns=True),
    Fault("429, five days", "quota_exhausted", {"reset_after": 5 * 86400.0}, cooldowns=True),
    Fault("429, a nonsense hint of years", "quota_exhausted", {"reset_after": 9e8}, cooldowns=True),
    Fault("429, a moment that has passed", "quota_exhausted", {"reset_after": -600.0}, times=1),
    Fault("429, bare", "bare_429", cooldowns=True),
    Fault("429, `retry-after: nan`", "refuse", NOT_A_NUMBER, cooldowns=True),
    Fault("429, no credits", "insufficient_credits", cooldowns=True),
    Fault("429, the error in a list", "error_in_a_list", cooldowns=True),
    Fault("429, no capacity", "capacity_exhausted", {"status": 429}),
    Fault("500", "internal"),
    Fault("502 with an HTML page", "html_502"),
    Fault("503, no capacity", "capacity_exhausted"),
    Fault("503", "unavailable"),
    Fault("529", "overloaded"),
    Fault("the token endpoint fails", "unavailable", method="token"),
    Fault("the token endpoint is slow", "stall_before_headers", {"seconds": 0.5}, times=1, method="token"),
    Fault("no answer for a while", "stall_before_headers", {"seconds": 0.5}, times=1),
    _client_error("400", "invalid_argument", 400, "invalid_request_error", message="contents: odd"),
    _client_error("400, the prompt is too long", "prompt_too_long", 400, "invalid_request_error"),
    _client_error("413", "request_too_large", 413, "request_too_large"),
    _client_error("400, the client version is too old", "unsupported_client", 503, "api_error"),
]

IN_THE_ANSWER = [
    Fault("slow drip", "slow_drip", {"seconds": 0.001, "size": 64}),
    Fault("frames cut at odd places", "cut_frames", {"size": 7}),
    Fault("characters cut in half", "split_utf8"),
    Fault("CRLF line ends", "crlf"),
    Fault("no newline at the end", "no_final_newline"),
    Fault("a finish reason in every chunk", "finish_in_every_chunk"),
    Fault("characters in halves", "halved_characters"),
    Fault("usage only at the end", "usage_only_last"),
    Fault("usage twice", "usage_twice"),
    Fault("no usage", "usage_missing"),
    Fault("another content type", "wrong_content_type"),
    Fault("a stall in the middle", "stall_mid_stream", {"seconds": 0.3}),
]
