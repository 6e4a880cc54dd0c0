"""Anthropic's errors as faults for scripts, each under the name of its function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy_site.emulator.anthropic_api import errors
from proxy_site.emulator.delivery.behaviour import Behaviour, error_mid_stream, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy_site.emulator.anthropic_api.errors import AnthropicError

APPEAL = "https://claude.com/form/appeal"


def _answered(error: AnthropicError) -> Behaviour:
    return refuse(error.status, error.body, error.headers)


def anthropic_key_invalid() -> Behaviour:
    return _answered(errors.authentication())


def anthropic_spend_limit(*, workspace: bool = False) -> Behaviour:
    return _answered(errors.spend_limit_of_ones_own(workspace=workspace))


def anthropic_tier_spend_limit() -> Behaviour:
    return _answered(errors.enforced_spend_limit())


def anthropic_contract_spend_limit() -> Behaviour:
    return _answered(errors.contract_spend_limit())


def anthropic_ramp_limit(seconds: int = 20) -> Behaviour:
    return _answered(errors.ramp_limit(seconds))


def anthropic_rate_limited(seconds: int = 12) -> Behaviour:
    return _answered(errors.rate_limited(seconds))


def anthropic_billing() -> Behaviour:
    return _answered(errors.billing())


def anthropic_credit_too_low() -> Behaviour:
    return _answered(errors.credit_too_low())


def anthropic_on_hold(appeal_url: str = APPEAL) -> Behaviour:
    return _answered(errors.organization_on_hold(appeal_url))


def anthropic_client_too_old() -> Behaviour:
    return _answered(errors.claude_code_too_old())


def anthropic_permission() -> Behaviour:
    return _answered(errors.permission())


def anthropic_model_not_found(model: str = "claude-sonnet-4-6") -> Behaviour:
    return _answered(errors.model_not_found(model))


def anthropic_conflict() -> Behaviour:
    return _answered(errors.conflict())


def anthropic_too_large() -> Behaviour:
    return _answered(errors.too_large())


def anthropic_internal(message: str = "Internal server error") -> Behaviour:
    """Answer with 500. With the message "Overloaded" it is what some clients got instead of 529."""
    return _answered(errors.internal(message))


def anthropic_timeout() -> Behaviour:
    return _answered(errors.timeout())


def anthropic_overloaded() -> Behaviour:
    return _answered(errors.overloaded())


def anthropic_overloaded_in_stream(after_chunks: int = 0) -> Behaviour:
    """Answer with status 200 and the error as an event, by default the first one."""
    return error_mid_stream(after_chunks, errors.overloaded().body)


def anthropic_invalid_request(message: str) -> Behaviour:
    return _answered(errors.invalid_request(message))


def anthropic_refusal(category: str | None = "cyber", explanation: str | None = None) -> Behaviour:
    """Return an answer with the stop_reason "refusal" and its stop_details."""
    details = {"type": "refusal", "category": category, "explanation": explanation}
    return Behaviour(finish_reason="refusal", stop_details=details)


def anthropic_pings(count: int = 3) -> Behaviour:
    """Send this number of pings after each event."""
    return Behaviour(pings=count)


ANTHROPIC_FAULTS: dict[str, Callable[..., Behaviour]] = {
    fault.__name__: fault
    for fault in (
        anthropic_key_invalid,
        anthropic_spend_limit,
        anthropic_tier_spend_limit,
        anthropic_contract_spend_limit,
        anthropic_ramp_limit,
        anthropic_rate_limited,
        anthropic_billing,
        anthropic_credit_too_low,
        anthropic_on_hold,
        anthropic_client_too_old,
        anthropic_permission,
        anthropic_model_not_found,
        anthropic_conflict,
        anthropic_too_large,
        anthropic_internal,
        anthropic_timeout,
        anthropic_overloaded,
        anthropic_overloaded_in_stream,
        anthropic_invalid_request,
        anthropic_refusal,
        anthropic_pings,
    )
}
