"""The Gemini API's errors as faults for scripts, each under the name of its function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy_site.emulator.delivery.behaviour import Behaviour, error_response
from proxy_site.emulator.gemini_api import errors

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = "100000000001"
FLASH = "gemini-2.5-flash"


def gemini_key_invalid() -> Behaviour:
    return error_response(errors.api_key_invalid())


def gemini_key_leaked() -> Behaviour:
    return error_response(errors.key_leaked())


def gemini_location() -> Behaviour:
    return error_response(errors.location_not_supported())


def gemini_service_disabled(project: str = PROJECT) -> Behaviour:
    return error_response(errors.service_disabled(project))


def gemini_service_blocked(project: str = PROJECT) -> Behaviour:
    return error_response(errors.service_blocked(project))


def gemini_suspended(project: str = PROJECT, key: str = "AIza-emulator-ada") -> Behaviour:
    return error_response(errors.consumer_suspended(project, key))


def gemini_referrer_blocked(project: str = PROJECT) -> Behaviour:
    return error_response(errors.referrer_blocked(project))


def gemini_address_blocked(project: str = PROJECT) -> Behaviour:
    return error_response(errors.address_blocked(project))


def gemini_model_not_found(model: str = FLASH) -> Behaviour:
    return error_response(errors.model_not_found(model))


def gemini_per_day(model: str = FLASH, delay: float = 34.074824224, *, free: bool = True) -> Behaviour:
    """Exceed the daily quota, with a RetryInfo of seconds as Google sends it."""
    return error_response(errors.quota_exceeded(model, delay, errors.REQUESTS_PER_DAY, free=free))


def gemini_per_minute(model: str = FLASH, delay: float = 39.806551247, *, free: bool = True) -> Behaviour:
    return error_response(errors.quota_exceeded(model, delay, errors.TOKENS_PER_MINUTE, free=free))


def gemini_several_quotas(model: str = FLASH, delay: float = 18.5) -> Behaviour:
    """Exceed the quotas of a minute and of a day at once; that of the day decides."""
    quotas = (errors.TOKENS_PER_MINUTE, errors.REQUESTS_PER_MINUTE, errors.REQUESTS_PER_DAY)
    return error_response(errors.quota_exceeded(model, delay, *quotas))


def gemini_no_quota(model: str = FLASH, delay: float = 25.4) -> Behaviour:
    """Answer with ``limit: 0``: the model is not offered to the project, whatever the text says about
    retrying."""
    quotas = (
        errors.Violation(one.metric, one.id, 0) for one in (errors.TOKENS_PER_MINUTE, errors.REQUESTS_PER_DAY)
    )
    return error_response(errors.quota_exceeded(model, delay, *quotas))


def gemini_old_rate_limit(project: str = PROJECT) -> Behaviour:
    return error_response(errors.old_rate_limit(project))


def gemini_internal() -> Behaviour:
    return error_response(errors.internal())


def gemini_overloaded() -> Behaviour:
    return error_response(errors.overloaded())


def gemini_deadline() -> Behaviour:
    return error_response(errors.deadline_exceeded())


GEMINI_FAULTS: dict[str, Callable[..., Behaviour]] = {
    fault.__name__: fault
    for fault in (
        gemini_key_invalid,
        gemini_key_leaked,
        gemini_location,
        gemini_service_disabled,
        gemini_service_blocked,
        gemini_suspended,
        gemini_referrer_blocked,
        gemini_address_blocked,
        gemini_model_not_found,
        gemini_per_day,
        gemini_per_minute,
        gemini_several_quotas,
        gemini_no_quota,
        gemini_old_rate_limit,
        gemini_internal,
        gemini_overloaded,
        gemini_deadline,
    )
}
