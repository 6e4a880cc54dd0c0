"""The bodies of the Gemini API's errors, word for word where a public report quotes them.

Reports: tashfeenahmed/freellmapi#285 (keys and places), continuedev/continue#10513 (leaked) and #10902
(suspended, with the key in clear), langwatch/langwatch#6252 (disabled), google-gemini/gemini-cli#6962 and
#22486 (quotas, limit: 0), google/generative-ai-docs#236 (the older quota body). A message that no report
quotes is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy_site.emulator.google_errors import (
    ERROR_INFO,
    HELP,
    GoogleError,
    Json,
    google_error,
    retry_info,
)

SERVICE = "generativelanguage.googleapis.com"
QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"
LOCALIZED = "type.googleapis.com/google.rpc.LocalizedMessage"
RATE_LIMITS = "https://ai.google.dev/gemini-api/docs/rate-limits"


def _info(reason: str, **metadata: str) -> Json:
    return {
        "@type": ERROR_INFO,
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": SERVICE, **metadata},
    }


def _refused(code: int, status: str, message: str, *details: Json) -> GoogleError:
    localized = {"@type": LOCALIZED, "locale": "en-US", "message": message}
    return google_error(code, status, message, [*details, localized] if details else None)


# Keys and places


def api_key_invalid() -> GoogleError:
    message = "API key not valid. Please pass a valid API key."
    return _refused(400, "INVALID_ARGUMENT", message, _info("API_KEY_INVALID"))


def without_a_key() -> GoogleError:
    message = (
        "Method doesn't allow unregistered callers (callers without established identity). "
        "Please use API Key or other form of API consumer identity to call this API."
    )
    return google_error(403, "PERMISSION_DENIED", message)


def key_as_a_token() -> GoogleError:
    """Return the error for a key in ``Authorization``, where Google expects a token of OAuth."""
    message = (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
        "other valid authentication credential. "
        "See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    return google_error(401, "UNAUTHENTICATED", message, [_info("ACCESS_TOKEN_TYPE_UNSUPPORTED")])


def location_not_supported() -> GoogleError:
    return google_error(400, "FAILED_PRECONDITION", "User location is not supported for the API use.")


def key_leaked() -> GoogleError:
    message = "Your API key was reported as leaked. Please use another API key."
    return google_error(403, "PERMISSION_DENIED", message)


def service_disabled(project: str) -> GoogleError:
    page = f"https://console.developers.google.com/apis/api/{SERVICE}/overview?project={project}"
    message = (
        f"Generative Language API has not been used in project {project} before or it is disabled. "
        f"Enable it by visiting {page} then retry. "
        "If you enabled this API recently, wait a few minutes for the action to "
        "propagate to our systems and retry."
    )
    info = _info("SERVICE_DISABLED", consumer=f"projects/{project}", activationUrl=page)
    return _refused(403, "PERMISSION_DENIED", message, info)


def service_blocked(project: str) -> GoogleError:
    method = "google.ai.generativelanguage.v1beta.GenerativeService.GenerateContent"
    message = f"Requests to this API {SERVICE} method {method} are blocked."
    info = _info("API_KEY_SERVICE_BLOCKED", consumer=f"projects/{project}", methodName=method)
    return _refused(403, "PERMISSION_DENIED", message, info)


def consumer_suspended(project: str, key: str) -> GoogleError:
    """Return the error whose body contains the key in clear text, in the message and in ``containerInfo``."""
    message = f"Permission denied: Consumer 'api_key:{key}' has been suspended."
    info = _info("CONSUMER_SUSPENDED", consumer=f"projects/{project}", containerInfo=f"api_key:{key}")
    return _refused(403, "PERMISSION_DENIED", message, info)


def referrer_blocked(project: str) -> GoogleError:
    info = _info("API_KEY_HTTP_REFERRER_BLOCKED", consumer=f"projects/{project}", httpReferrer="<empty>")
    return _refused(403, "PERMISSION_DENIED", "Requests from referer <empty> are blocked.", info)


def address_blocked(project: str) -> GoogleError:
    message = (
        "The provided API key has an IP address restriction. The originating IP address of the call "
        "(192.0.2.7) violates this restriction."
    )
    info = _info("API_KEY_IP_ADDRESS_BLOCKED", consumer=f"projects/{project}")
    return _refused(403, "PERMISSION_DENIED", message, info)


# Models


def model_not_found(model: str, method: str = "generateContent") -> GoogleError:
    message = (
        f"models/{model} is not found for API version v1beta, or is not supported for {method}. "
        "Call ListModels to see the list of available models and their supported methods."
    )
    return google_error(404, "NOT_FOUND", message)


# Quotas


@dataclass(frozen=True)
class Violation:
    """One exceeded quota. ``metric`` ends the quotaMetric, ``id`` is the quotaId without its tier."""

    metric: str
    id: str
    limit: int


REQUESTS_PER_DAY = Violation("requests", "GenerateRequestsPerDayPerProjectPerModel", 20)
REQUESTS_PER_MINUTE = Violation("requests", "GenerateRequestsPerMinutePerProjectPerModel", 10)
TOKENS_PER_MINUTE = Violation("input_token_count", "GenerateContentInputTokensPerModelPerMinute", 250_000)


def quota_exceeded(model: str, delay: float, *violations: Violation, free: bool = True) -> GoogleError:
    """Return a 429 with a line and a violation for each quota. ``delay`` is in seconds, and short even for a
    daily quota."""
    metrics = [
        f"{SERVICE}/generate_content_{'free' if free else 'paid'}_tier_{one.metric}" for one in violations
    ]
    lines = [
        f"* Quota exceeded for metric: {metric}, limit: {one.limit}, model: {model}"
        for metric, one in zip(metrics, violations, strict=True)
    ]
    message = "\n".join(
        [
            "You exceeded your current quota, please check your plan and billing details. For more "
            f"information on this error, head to: {RATE_LIMITS}. To monitor your current usage, head to: "
            "https://ai.dev/usage?tab=rate-limit. ",
            *lines,
            f"Please retry in {delay}s.",
        ]
    )
    listed = [
        _violation(model, metric, one, free=free) for metric, one in zip(metrics, violations, strict=True)
    ]
    links = [{"description": "Learn more about Gemini API quotas", "url": RATE_LIMITS}]
    details = [
        {"@type": HELP, "links": links},
        {"@type": QUOTA_FAILURE, "violations": listed},
        retry_info(int(delay)),
    ]
    return google_error(429, "RESOURCE_EXHAUSTED", message, details)


def _violation(model: str, metric: str, one: Violation, *, free: bool) -> Json:
    shown: Json = {
        "quotaMetric": metric,
        "quotaId": one.id + ("-FreeTier" if free else "-PaidTier"),
        "quotaDimensions": {"location": "global", "model": model},
    }
    return {**shown, "quotaValue": str(one.limit)} if one.limit else shown


def old_rate_limit(project: str) -> GoogleError:
    """Return a 429 in the form that was used before QuotaFailure."""
    message = (
        "Quota exceeded for quota metric 'Generate Content API requests per minute' and limit "
        f"'GenerateContent request limit per minute for a region' of service '{SERVICE}' for consumer "
        f"'project_number:{project}'."
    )
    info = _info(
        "RATE_LIMIT_EXCEEDED",
        consumer=f"projects/{project}",
        quota_limit="GenerateContentRequestsPerMinutePerProjectPerRegion",
        quota_limit_value="60",
        quota_location="us-central1",
        quota_metric=f"{SERVICE}/generate_content_requests",
    )
    return google_error(429, "RESOURCE_EXHAUSTED", message, [info])


# The service


def internal() -> GoogleError:
    page = "https://developers.generativeai.google/guide/troubleshooting"
    return google_error(500, "INTERNAL", f"An internal error has occurred. Please retry or report in {page}")


def overloaded() -> GoogleError:
    return google_error(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")


def deadline_exceeded() -> GoogleError:
    return google_error(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.")
