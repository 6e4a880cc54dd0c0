"""Google's error bodies: one function for each kind.

All are ``{"error": {"code", "message", "status", "details"}}``; the shapes were seen on the wire by
several public clients of the same API. Errors of Claude arrive wrapped: Google's message is then
a JSON *string* that holds Anthropic's error.
"""

from __future__ import annotations

from typing import Any

import orjson

from proxy_site.emulator.clock import as_go_duration, as_timestamp
from proxy_site.emulator.refusal import Refusal

Json = dict[str, Any]

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
HELP = "type.googleapis.com/google.rpc.Help"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
CLOUD_CODE = "cloudcode-pa.googleapis.com"
COMPANION = "cloudaicompanion.googleapis.com"


class GoogleError(Refusal):
    """An HTTP status with Google's error body."""

    @property
    def message(self) -> str:
        return str(self.body["error"]["message"])


def google_error(code: int, status: str, message: str, details: list[Json] | None = None) -> GoogleError:
    error: Json = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = details
    return GoogleError(code, {"error": error})


def error_info(reason: str, metadata: dict[str, str], domain: str = CLOUD_CODE) -> Json:
    return {"@type": ERROR_INFO, "reason": reason, "domain": domain, "metadata": metadata}


def retry_info(seconds: float) -> Json:
    return {"@type": RETRY_INFO, "retryDelay": f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"}


# 400


def invalid_argument(message: str, field: str | None = None) -> GoogleError:
    violation = {"field": field, "description": message}
    details = [{"@type": BAD_REQUEST, "fieldViolations": [violation]}] if field else None
    return google_error(400, "INVALID_ARGUMENT", message, details)


def claude_invalid_request(message: str) -> GoogleError:
    """Return Anthropic's own error, as a JSON string inside Google's message."""
    nested = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    return invalid_argument(orjson.dumps(nested).decode())


TOO_LONG = {
    "claude": "prompt is too long: {tokens} tokens > {maximum} maximum",
    "claude on Vertex": "Prompt is too long",
    "gemini": "The input token count ({tokens}) exceeds the maximum number of tokens allowed ({maximum}).",
    "gemini without a count": "The input token count exceeds the maximum number of tokens allowed {maximum}.",
    "gemini on Vertex": "Unable to submit request because the input token count is {tokens} but model only "
    "supports up to {maximum}. Reduce the input token count and try again.",
    "gpt": "This model's maximum context length is {maximum} tokens. However, you requested {tokens} tokens. "
    "Please reduce the length of the messages.",
}
"""The error for a prompt that is too long, in the wordings of public reports:
NoeFabris/opencode-antigravity-auth#411, anthropics/claude-code#2569, google-gemini/gemini-cli#6678 and
#19727, warpdotdev/warp#15662, vllm-project/vllm#20409."""


def prompt_too_long(wording: str, tokens: int, maximum: int) -> GoogleError:
    message = TOO_LONG[wording].format(tokens=tokens, maximum=maximum)
    if wording == "claude on Vertex":
        return google_error(413, "INVALID_ARGUMENT", claude_invalid_request(message).message)
    return claude_invalid_request(message) if wording == "claude" else invalid_argument(message)


def search_not_supported() -> GoogleError:
    return invalid_argument("Search Grounding is not supported.")


def failed_precondition() -> GoogleError:
    return google_error(400, "FAILED_PRECONDITION", "Precondition check failed.")


def unsupported_client(minimum_version: str) -> GoogleError:
    message = f"This client version is no longer supported. Please update to {minimum_version} or later."
    details = [error_info("UNSUPPORTED_CLIENT", {"minimum_version": minimum_version})]
    return google_error(400, "FAILED_PRECONDITION", message, details)


# 401 and 403


def unauthenticated() -> GoogleError:
    message = (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
        "other valid authentication credential. "
        "See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    details = [error_info("ACCESS_TOKEN_EXPIRED", {"service": CLOUD_CODE}, domain="googleapis.com")]
    return google_error(401, "UNAUTHENTICATED", message, details)


def insufficient_scopes() -> GoogleError:
    """Return the error for a token whose sign-in was granted less than the call needs
    (google.rpc.ErrorReason)."""
    details = [
        error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", {"service": CLOUD_CODE}, domain="googleapis.com")
    ]
    return google_error(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.", details)


def verification_required(url: str) -> GoogleError:
    message = "Verify your account to continue."
    metadata = {
        "validation_error_message": message,
        "validation_url": url,
        "validation_url_link_text": "Verify your account",
    }
    help_links = {"@type": HELP, "links": [{"description": "Verify your account", "url": url}]}
    details = [error_info("VALIDATION_REQUIRED", metadata), help_links]
    return google_error(403, "PERMISSION_DENIED", message, details)


def account_disabled() -> GoogleError:
    message = (
        "This service has been disabled in this account for violation of Terms of Service. "
        "If you believe this is an error, contact support."
    )
    return google_error(403, "PERMISSION_DENIED", message)


def no_licence() -> GoogleError:
    message = "No valid license found for this user. Please contact your administrator."
    details = [error_info("SUBSCRIPTION_REQUIRED", {}, domain=COMPANION)]
    return google_error(403, "PERMISSION_DENIED", message, details)


def wrong_project(project: str) -> GoogleError:
    message = (
        f"Cloud Code Private API has not been used in project {project} before or it is disabled. "
        "Enable it in the console, then retry."
    )
    details = [error_info("SERVICE_DISABLED", {"consumer": f"projects/{project}", "service": CLOUD_CODE})]
    return google_error(403, "PERMISSION_DENIED", message, details)


def permission_denied() -> GoogleError:
    return google_error(403, "PERMISSION_DENIED", "The caller does not have permission")


# 404


def not_found() -> GoogleError:
    return google_error(404, "NOT_FOUND", "Requested entity was not found.")


# 429


def quota_exhausted(model: str, reset_at: float, now: float) -> GoogleError:
    """Return the error for a quota that is used up until ``reset_at`` (seconds since the epoch), hours or
    days away."""
    delay = max(0.0, reset_at - now)
    text = as_go_duration(max(1, int(delay)))
    message = f"You have exhausted your capacity on this model. Your quota will reset after {text}."
    return _limited("QUOTA_EXHAUSTED", message, model, delay, reset_at)


def rate_limited(model: str, delay_seconds: float, now: float) -> GoogleError:
    """Return the error for too many requests, which lasts for milliseconds to a few minutes."""
    text = as_go_duration(delay_seconds)
    message = f"You have exhausted your capacity on this model. Your quota will reset after {text}."
    return _limited("RATE_LIMIT_EXCEEDED", message, model, delay_seconds, now + delay_seconds)


def _limited(reason: str, message: str, model: str, delay: float, reset_at: float) -> GoogleError:
    metadata = {
        "uiMessage": "true",
        "model": model,
        "quotaResetDelay": as_go_duration(delay),
        "quotaResetTimeStamp": as_timestamp(reset_at),
    }
    return google_error(429, "RESOURCE_EXHAUSTED", message, [error_info(reason, metadata), retry_info(delay)])


def bare_429() -> GoogleError:
    return google_error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")


def insufficient_credits() -> GoogleError:
    details = [error_info("INSUFFICIENT_G1_CREDITS_BALANCE", {})]
    return google_error(429, "RESOURCE_EXHAUSTED", "Insufficient credits balance.", details)


# 5xx


def capacity_exhausted(model: str, delay_seconds: float = 39, *, status: int = 503) -> GoogleError:
    """Return the error for a model without capacity for any account. Google sends it with 503 and with
    429."""
    message = f"No capacity available for model {model} on the server"
    details = [error_info("MODEL_CAPACITY_EXHAUSTED", {"model": model}), retry_info(delay_seconds)]
    return google_error(status, "UNAVAILABLE" if status == 503 else "RESOURCE_EXHAUSTED", message, details)


def unavailable() -> GoogleError:
    return google_error(503, "UNAVAILABLE", "The service is currently unavailable.")


def internal() -> GoogleError:
    return google_error(500, "INTERNAL", "Internal error encountered.")


def overloaded() -> GoogleError:
    nested = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    return google_error(529, "UNAVAILABLE", orjson.dumps(nested).decode())
