"""What the Gemini API's errors tell of a project's limits: exceeded quotas, the tier, the project. Pure.

No call lists a project's limits. A 429 names those that a request exceeded:

    quotaMetric   .../generate_content_free_tier_input_token_count
    quotaId       GenerateContentInputTokensPerModelPerMinute-FreeTier
    quotaValue    "250000", absent for 0

(google-gemini/gemini-cli#6962, #4656). An older form has one quota in the metadata of its ErrorInfo
(google/generative-ai-docs#236).
"""

from __future__ import annotations

import re
from typing import Any

from accounts.failures import Learned, QuotaLimit
from accounts.google.error_bodies import details_of, metadata_of
from accounts.values.outside import as_list, as_object

PROJECT = re.compile(r"projects/(\w[\w.:-]{0,60})", re.ASCII)
FREE_TIER = re.compile(r"free_?tier", re.IGNORECASE)
PERIODS = {"PerDay": "day", "Daily": "day", "PerMinute": "minute"}
"""The period of a limit, by a part of the quota's id."""
SUBJECTS = {"input_token": "input_tokens", "output_token": "output_tokens", "requests": "requests"}
"""The subject of a limit, by a part of the quota's metric."""
MOST_DIGITS = 15


def exceeded_quotas(error: dict[str, Any]) -> list[QuotaLimit]:
    """Return the quotas that the error reports as exceeded, with "" and None for what it does not say."""
    failures = details_of(error, "QuotaFailure")
    violations = [as_object(one) for failure in failures for one in as_list(failure.get("violations"))]
    newer = [
        _quota(one.get("quotaId"), one.get("quotaMetric"), one.get("quotaValue"), _model_of(one))
        for one in violations
    ]
    infos = [metadata_of(detail) for detail in details_of(error, "ErrorInfo")]
    older = [
        _quota(one["quota_limit"], one.get("quota_metric"), one.get("quota_limit_value"), "")
        for one in infos
        if "quota_limit" in one
    ]
    return newer + older


def _quota(quota_id: Any, metric: Any, value: Any, model: str) -> QuotaLimit:
    return QuotaLimit(
        subject=_named_in(metric, SUBJECTS),
        period=_named_in(quota_id, PERIODS),
        value=_number(value),
        model=model,
    )


def _named_in(text: Any, words: dict[str, str]) -> str:
    return next((meaning for part, meaning in words.items() if part in str(text)), "")


def _number(text: Any) -> int | None:
    digits = str(text)
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= MOST_DIGITS else None


def _model_of(violation: dict[str, Any]) -> str:
    model = as_object(violation.get("quotaDimensions")).get("model")
    return model if isinstance(model, str) else ""


def learned_from(error: dict[str, Any], quotas: list[QuotaLimit]) -> Learned:
    """Return what the error tells about the account: its project, whether it is of the free tier, and its
    limits."""
    return Learned(
        tier="free" if _is_of_free_tier(error) else "",
        quota_group=_project(error),
        limits=tuple(one for one in quotas if one.subject and one.period and one.value),
    )


def _is_of_free_tier(error: dict[str, Any]) -> bool:
    failures = details_of(error, "QuotaFailure")
    named = [as_object(one) for failure in failures for one in as_list(failure.get("violations"))]
    texts = [error.get("message"), *(one.get(key) for one in named for key in ("quotaId", "quotaMetric"))]
    return error.get("code") == 429 and any(FREE_TIER.search(str(text)) for text in texts)


def _project(error: dict[str, Any]) -> str:
    for detail in details_of(error, "ErrorInfo"):
        if found := PROJECT.fullmatch(str(metadata_of(detail).get("consumer"))):
            return found[1]
    return ""
