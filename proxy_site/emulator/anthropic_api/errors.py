"""Anthropic's error bodies: ``{"type": "error", "error": {"type", "message", "details"?}, "request_id"}``.

The words are those of platform.claude.com/docs/en/api/errors and .../rate-limits, of the official SDK's
``types/shared/*_error_details.py``, and of public reports (anthropics/claude-code#4248, #63265,
nguyenphutrong/quotio#218). Where the documentation gives only a meaning, the sentence is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy_site.emulator.refusal import Refusal

if TYPE_CHECKING:
    from proxy_site.emulator.refusal import Json

REGAIN = "You will regain access on 2027-02-01 at 00:00 UTC."


class AnthropicError(Refusal):
    """An HTTP status with Anthropic's error body."""

    @property
    def message(self) -> str:
        return str(self.body["error"]["message"])


def anthropic_error(
    status: int,
    kind: str,
    message: str,
    *,
    details: Json | None = None,
    headers: dict[str, str] | None = None,
) -> AnthropicError:
    error: Json = {"type": kind, "message": message}
    if details:
        error["details"] = details
    return AnthropicError(status, {"type": "error", "error": error}, headers)


# 400


def invalid_request(message: str, **details: str) -> AnthropicError:
    return anthropic_error(400, "invalid_request_error", message, details=details or None)


def extra_input(at: str) -> AnthropicError:
    return invalid_request(f"{at}: Extra inputs are not permitted")


def spend_limit_of_ones_own(*, workspace: bool = False) -> AnthropicError:
    """Return the error for a limit that the organisation has set itself, a 400."""
    which = "workspace API" if workspace else "API"
    return invalid_request(f"You have reached your specified {which} usage limits. {REGAIN}")


def credit_too_low() -> AnthropicError:
    return invalid_request(
        "Your credit balance is too low to access the Anthropic API. "
        "Please go to Plans & Billing to upgrade or purchase credits."
    )


def organization_on_hold(appeal_url: str) -> AnthropicError:
    message = "This organization is on hold. Please contact support."
    return invalid_request(message, error_code="organization_on_hold", appeal_url=appeal_url)


def claude_code_too_old() -> AnthropicError:
    message = "This version of Claude Code is no longer supported. Please run `claude update`."
    return invalid_request(message, error_code="claude_code_version_too_old")


# 401 to 413


def authentication(message: str = "invalid x-api-key") -> AnthropicError:
    return anthropic_error(401, "authentication_error", message)


def cross_origin() -> AnthropicError:
    """Return the error for any request with an ``Origin``."""
    return authentication("CORS requests are not allowed for this Organization.")


def billing() -> AnthropicError:
    message = "There is an issue with your billing or payment information."
    return anthropic_error(402, "billing_error", message)


def permission() -> AnthropicError:
    message = "Your API key does not have permission to use the specified resource."
    return anthropic_error(403, "permission_error", message)


def model_not_found(model: object) -> AnthropicError:
    return anthropic_error(404, "not_found_error", f"model: {model}")


def conflict() -> AnthropicError:
    return anthropic_error(409, "conflict_error", "The request conflicts with the current state.")


def too_large() -> AnthropicError:
    return anthropic_error(413, "request_too_large", "Request exceeds the maximum size")


# 429


def rate_limited(seconds: int = 12, what: str = "requests per minute", limit: int = 50) -> AnthropicError:
    message = (
        f"This request would exceed your organization's rate limit of {limit} {what}. For details, refer to: "
        "https://docs.claude.com/en/api/rate-limits."
    )
    return anthropic_error(429, "rate_limit_error", message, headers={"retry-after": str(seconds)})


def ramp_limit(seconds: int = 20) -> AnthropicError:
    """Return the error for traffic that grows too fast."""
    return anthropic_error(
        429,
        "rate_limit_error",
        "Your traffic has increased faster than your acceleration limit allows. Please scale up gradually.",
        details={"error_code": "ramp_limit_exceeded"},
        headers={"retry-after": str(seconds)},
    )


def enforced_spend_limit() -> AnthropicError:
    """Return the error for the cap of the usage tier, which has no ``retry-after``."""
    message = f"You have reached your monthly API spend limit. {REGAIN}"
    details = {"error_code": "enforced_spend_limit_reached"}
    return anthropic_error(429, "rate_limit_error", message, details=details)


def contract_spend_limit() -> AnthropicError:
    message = "You have reached the spend limit of your contract. Please contact your account team."
    details = {"error_code": "contract_spend_limit_reached"}
    return anthropic_error(429, "rate_limit_error", message, details=details)


# 5xx


def internal(message: str = "Internal server error") -> AnthropicError:
    return anthropic_error(500, "api_error", message)


def timeout() -> AnthropicError:
    return anthropic_error(504, "timeout_error", "Request timed out")


def overloaded() -> AnthropicError:
    return anthropic_error(529, "overloaded_error", "Overloaded")
