"""The errors that clients get, as one hierarchy.

    GatewayError                500 api_error
    ├── InvalidRequest          400 invalid_request_error
    │   ├── MethodNotAllowed    405 invalid_request_error
    │   └── UnsupportedEncoding 415 invalid_request_error
    ├── AuthenticationFailed    401 authentication_error
    ├── PermissionDenied        403 permission_error
    ├── NotFound                404 not_found_error
    ├── RequestTimedOut         408 timeout_error
    ├── RequestTooLarge         413 request_too_large
    ├── RateLimited             429 rate_limit_error
    ├── Overloaded              529 overloaded_error
    ├── UpstreamFailed          502 api_error
    ├── UpstreamTimedOut        504 timeout_error
    ├── Unavailable             503 api_error, transient
    ├── LoopDetected            508 api_error, never retried by the client
    └── OperatorMustAct         503 api_error, never retried by the client

The pairs of status and type are Anthropic's (docs.anthropic.com, API, Errors). The message is
a sentence for the user: Claude Code prints it verbatim. Dialects encode errors (gateway/dialects).
"""

from __future__ import annotations

import math
from typing import Any

from accounts.values.sanitize import escape_controls_but_line_ends

OUR_FAULT = "The gateway failed; its log has the details under this request id."
STOPPING = "The gateway is shutting down. Try again in a moment."


class GatewayError(Exception):
    """An error for the client: an HTTP status, Anthropic's error type and a message.

    ``details`` are further members of the encoded error. ``should_retry`` becomes the header ``x-should-
    retry``: False makes every official client show the message at once instead of retrying silently; None
    leaves it to the client's own rule.
    """

    status = 500
    error_type = "api_error"
    should_retry: bool | None = None
    request_id = ""
    """Anthropic's request id, when the error comes from Anthropic; "" to send the gateway's own."""
    may_quote_request = False
    """True for a message from the upstream, which is sent to the client but neither logged nor stored."""

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: float | None = None,
        should_retry: bool | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        # The message may quote the client, the upstream or a file; Claude Code prints it to a terminal.
        self.message = escape_controls_but_line_ends(message)
        super().__init__(self.message)
        self.retry_after_seconds = retry_after_seconds
        self.details = details
        if should_retry is not None:
            self.should_retry = should_retry

    def as_headers(self) -> dict[str, str]:
        headers = {}
        if self.retry_after_seconds is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after_seconds)))
        if self.should_retry is not None:
            headers["x-should-retry"] = "true" if self.should_retry else "false"
        return headers


class InvalidRequest(GatewayError):
    status = 400
    error_type = "invalid_request_error"


class MethodNotAllowed(InvalidRequest):
    status = 405

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow

    def as_headers(self) -> dict[str, str]:
        return {**super().as_headers(), "allow": self.allow}


class UnsupportedEncoding(InvalidRequest):
    status = 415


class AuthenticationFailed(GatewayError):
    """A missing or wrong key. ``x-should-retry: false`` keeps Claude Code from retrying a 401 for about three
    minutes."""

    status = 401
    error_type = "authentication_error"
    should_retry = False


class PermissionDenied(GatewayError):
    status = 403
    error_type = "permission_error"


class PromptTooLong(InvalidRequest):
    """The prompt has more tokens than the model accepts."""


class NotFound(GatewayError):
    status = 404
    error_type = "not_found_error"


class RequestTimedOut(GatewayError):
    """The request took too long to arrive."""

    status = 408
    error_type = "timeout_error"


class RequestTooLarge(GatewayError):
    status = 413
    error_type = "request_too_large"


class RateLimited(GatewayError):
    status = 429
    error_type = "rate_limit_error"


class Overloaded(GatewayError):
    status = 529
    error_type = "overloaded_error"


class UpstreamFailed(GatewayError):
    status = 502


class UpstreamTimedOut(GatewayError):
    status = 504
    error_type = "timeout_error"


class Unavailable(GatewayError):
    status = 503


class LoopDetected(GatewayError):
    """A request that has come back to this gateway, or has passed too many gateways."""

    status = 508
    should_retry = False


class OperatorMustAct(GatewayError):
    """An error that only the operator can resolve, so that a retry is pointless."""

    status = 503
    should_retry = False
