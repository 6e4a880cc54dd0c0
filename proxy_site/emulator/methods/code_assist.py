"""The v1internal methods around the model calls: project, tier, onboarding, models, quota."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxy_site.emulator import google_errors
from proxy_site.emulator.accounts import TIER_NAMES, Account
from proxy_site.emulator.clock import as_timestamp
from proxy_site.emulator.models import (
    CLAUDE_POOL,
    GEMINI_ANTIGRAVITY_POOL,
    GEMINI_CLI_POOL,
    INTERNAL_IDS,
    MODELS,
    Model,
)
from proxy_site.emulator.rules import wire

if TYPE_CHECKING:
    from proxy_site.emulator.methods.google_exchange import GoogleExchange

Json = dict[str, Any]

ONBOARD_USER_RESPONSE = "type.googleapis.com/google.internal.cloud.code.v1internal.OnboardUserResponse"


# loadCodeAssist and onboardUser


def load_code_assist(exchange: GoogleExchange) -> Json:
    """Return the account's project and tier. An account without a project must be onboarded first."""
    account = exchange.account
    exchange.message(wire.LOAD_CODE_ASSIST)
    answer: Json = {"currentTier": _tier("free-tier"), "allowedTiers": _allowed_tiers()}
    if account.tier != "free-tier":
        answer["paidTier"] = _tier(account.tier)
    if account.project is not None:
        answer["cloudaicompanionProject"] = _project(account)
    if account.verification_url is not None:
        answer["ineligibleTiers"] = [_ineligible(account.verification_url)]
    return answer


def _tier(tier_id: Any) -> Json:
    return {"id": tier_id, "name": TIER_NAMES[tier_id]}


def _allowed_tiers() -> list[Json]:
    return [
        {"id": "free-tier", "name": "Free", "isDefault": True},
        {"id": "standard-tier", "name": "Standard", "userDefinedCloudaicompanionProject": True},
    ]


def _project(account: Account) -> str | Json | None:
    return {"id": account.project} if account.project_as_object else account.project


def _ineligible(url: str) -> Json:
    return {
        "reasonCode": "VALIDATION_REQUIRED",
        "reasonMessage": "Verify your account to continue.",
        "tierId": "free-tier",
        "validationUrl": url,
        "validationUrlLinkText": "Verify your account",
    }


def onboard_user(exchange: GoogleExchange) -> Json:
    """Start or finish onboarding. A long-running operation: the first answer is not done yet, the second one
    is."""
    account = exchange.account
    payload = exchange.message(wire.ONBOARD_USER)
    tier_id = payload.get("tierId")
    if tier_id not in {tier["id"] for tier in _allowed_tiers()}:
        raise google_errors.invalid_argument(f"Invalid tier: {tier_id}", "tier_id")
    if tier_id == "free-tier" and "cloudaicompanionProject" in payload:
        raise google_errors.failed_precondition()
    return _operation(account, asked_before=_has_asked_before(exchange))


def _has_asked_before(exchange: GoogleExchange) -> bool:
    earlier = exchange.state.log.entries("onboardUser", account=exchange.account.email)
    return any(entry.number < exchange.entry.number for entry in earlier)


def get_operation(exchange: GoogleExchange) -> Json:
    name = exchange.web_request.match_info["name"]
    account = exchange.account
    if name != f"onboard-{account.short_name}":
        raise google_errors.not_found()
    return _operation(account, asked_before=True)


def _operation(account: Account, *, asked_before: bool) -> Json:
    operation: Json = {"name": f"operations/onboard-{account.short_name}"}
    if not asked_before and account.project is None:
        return {**operation, "done": False}
    response: Json = {"@type": ONBOARD_USER_RESPONSE}
    if account.can_be_onboarded:
        account.project = account.project or f"emulator-project-{account.short_name}"
        response["cloudaicompanionProject"] = {"id": account.project, "name": account.project}
    return {**operation, "done": True, "response": response}


# fetchAvailableModels and quota


def fetch_available_models(exchange: GoogleExchange) -> Json:
    _check_project_if_given(exchange.usable_account, exchange.message(wire.FETCH_AVAILABLE_MODELS))
    listed = {model.id: _listing(exchange, model) for model in _models_for(exchange)}
    internal = {id_: {"quotaInfo": {"remainingFraction": 1}} for id_ in INTERNAL_IDS}
    searching = exchange.account.web_search_models
    return {"models": {**listed, **internal}, **({"webSearchModelIds": searching} if searching else {})}


def _models_for(exchange: GoogleExchange) -> list[Model]:
    listed = [model for model in MODELS.values() if model.is_listed_in(exchange.mode)]
    return [model for model in listed if model.id not in exchange.account.withheld_models]


def _check_project_if_given(account: Account, payload: Json) -> None:
    project = payload.get("project")
    if project and project != account.project:
        raise google_errors.wrong_project(str(project))


def _listing(exchange: GoogleExchange, model: Model) -> Json:
    return {
        "displayName": model.display_name,
        "maxTokens": model.max_tokens,
        "maxOutputTokens": model.max_output_tokens,
        "quotaInfo": _quota_info(exchange, model.pool(exchange.mode)),
    }


def _quota_info(exchange: GoogleExchange, pool: str) -> Json:
    """Build quotaInfo. proto3 JSON omits zeros: an empty pool has a resetTime and no remainingFraction."""
    now = exchange.state.clock.now()
    quota = exchange.account.quotas[pool]
    fraction = quota.remaining_fraction(now)
    info: Json = {"remainingFraction": fraction} if fraction else {}
    return {**info, "resetTime": as_timestamp(quota.resets_at(now))}


def retrieve_user_quota(exchange: GoogleExchange) -> Json:
    _check_project_if_given(exchange.usable_account, exchange.message(wire.RETRIEVE_USER_QUOTA))
    buckets = [_bucket(exchange, model) for model in _models_for(exchange)]
    if exchange.mode == "cli":
        buckets += [bucket for own in list(buckets) for bucket in _more_buckets(own)]
    return {"buckets": buckets}


def _more_buckets(own: Json) -> list[Json]:
    """Further buckets as the Gemini CLI gets them beside a model's own: that of another address, and an empty
    one of a lower tier (Curbob/LobsterBoard#16, google-gemini/gemini-cli#27221)."""
    model_id, reset_time = own["modelId"], own["resetTime"]
    empty = {"modelId": model_id, "tokenType": "REQUESTS", "resetTime": reset_time}
    return [{**own, "modelId": f"{model_id}_vertex"}, empty]


def _bucket(exchange: GoogleExchange, model: Model) -> Json:
    pool = model.pool(exchange.mode)
    quota = exchange.account.quotas[pool]
    bucket: Json = {"modelId": model.id, "tokenType": "REQUESTS", **_quota_info(exchange, pool)}
    if quota.limit is not None:
        bucket["remainingAmount"] = str(quota.limit - quota.used)
    return bucket


def retrieve_user_quota_summary(exchange: GoogleExchange) -> Json:
    """Return each family's limits over five hours and a week, for an account that Google tells them."""
    account = exchange.usable_account
    _check_project_if_given(account, exchange.message(wire.RETRIEVE_USER_QUOTA))
    if not account.has_quota_windows:
        raise google_errors.permission_denied()
    gemini_pool = GEMINI_CLI_POOL if exchange.mode == "cli" else GEMINI_ANTIGRAVITY_POOL
    groups = [
        ("Gemini Models", "gemini", "Gemini Flash, Gemini Pro", gemini_pool),
        ("Claude and GPT models", "3p", "Claude Opus, Claude Sonnet, GPT-OSS", CLAUDE_POOL),
    ]
    return {"groups": [_group(exchange, *group) for group in groups]}


def _group(exchange: GoogleExchange, display_name: str, prefix: str, models: str, pool: str) -> Json:
    """Return a family's limits, with the ids and names of router-for-me/CLIProxyAPI#3876."""
    window: Json = {"bucketId": f"{prefix}-5h", "displayName": "Five Hour Limit", "window": "5h"}
    week: Json = {"bucketId": f"{prefix}-weekly", "displayName": "Weekly Limit", "window": "weekly"}
    return {
        "displayName": display_name,
        "description": f"Models within this group: {models}",
        "buckets": [{**week, **_weekly_info(exchange, pool)}, {**window, **_quota_info(exchange, pool)}],
    }


def _weekly_info(exchange: GoogleExchange, pool: str) -> Json:
    fraction, reset_at = exchange.account.quotas[pool].week(exchange.state.clock.now())
    info: Json = {"remainingFraction": fraction} if fraction else {}
    return {**info, "resetTime": as_timestamp(reset_at)}


# countTokens


def count_tokens(exchange: GoogleExchange) -> Json:
    """``{"request": {"model": "models/<id>", "contents": [...]}}`` -> ``{"totalTokens": N}``."""
    _ = exchange.usable_account
    request = exchange.json().get("request")
    if not isinstance(request, dict) or not isinstance(request.get("contents"), list):
        raise google_errors.invalid_argument("contents is not specified", "request.contents")
    model = MODELS.get(str(request.get("model")).removeprefix("models/"))
    family = model.family if model else "gemini"
    return {"totalTokens": exchange.state.tokenizers[family].count_prompt(request)}
