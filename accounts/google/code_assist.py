"""The Cloud Code calls about an account: its project, its tier, and the models it may use. A private API
without public documentation; the shapes are those of Google's open-source command-line client."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from accounts.failures import AccountCheckFailed
from accounts.google.endpoints import CLIENT_METADATA, HeaderMode, base_urls, headers
from accounts.google.error_bodies import parse_timestamp
from accounts.google.errors import is_closed_api, is_googles_page, parse_error
from accounts.network import AccountsClient, CallFailed
from accounts.offers import ModelOffer, WindowOffer
from accounts.values.outside import NotJson, as_list, as_object, number, parse_json, whole_number, word
from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Sized


MOST_MODELS = 2000
LONGEST_MODEL_ID = 100
LONGEST_NAME = 200
MOST_TOKENS = 2**31
VERTEX_SUFFIX = "_vertex"
WINDOWS = {
    f"{prefix}-{span}": (family, span)
    for prefix, family in {"gemini": "gemini", "3p": "claude"}.items()
    for span in ("5h", "weekly")
}
"""Google's ids of limits: the family of models and the span."""
ONBOARDING_TRIES = 10
ONBOARDING_PAUSE_SECONDS = 5.0
CLOSED_API_REMARK = (
    " Google's link does not help: its console lets no ordinary project enable this API "
    "(docs/google-oauth.md#read-this-first)."
)


class CodeAssistFailed(AccountCheckFailed):
    """A call of Code Assist failed."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The answer of loadCodeAssist: the account's project ("" when it has none yet) and its tiers.
    `verification_link` is the page on which the account must be verified before it may use its tier, "" when
    it need not be."""

    project_id: str
    tier: str
    onboarding_tier_id: str
    verification_link: str


async def load_code_assist(client: AccountsClient, access_token: str, project_id: str = "") -> Assignment:
    metadata = {**CLIENT_METADATA, **({"duetProject": project_id} if project_id else {})}
    answer = await _call(client, "loadCodeAssist", {"metadata": metadata}, access_token, prod_first=True)
    return Assignment(
        project_id=_project_id(answer.get("cloudaicompanionProject")),
        tier=tier_of(answer),
        onboarding_tier_id=_default_tier_id(answer),
        verification_link=_verification_link(answer),
    )


async def onboard_user(client: AccountsClient, access_token: str, tier_id: str) -> str:
    """Ask Google to create a project for the account. Returns its id, "" when Google creates none.

    No project is sent: with the free tier Google refuses that as a failed precondition.
    """
    request = {"tierId": tier_id, "metadata": CLIENT_METADATA}
    for _ in range(ONBOARDING_TRIES):
        operation = await _call(client, "onboardUser", request, access_token)
        if operation.get("done"):
            return _project_id(as_object(operation.get("response")).get("cloudaicompanionProject"))
        await asyncio.sleep(ONBOARDING_PAUSE_SECONDS)
    return ""


async def fetch_available_models(
    client: AccountsClient, access_token: str, project_id: str
) -> dict[str, ModelOffer]:
    """Fetch the models by id, without those whose id cannot be sent or stored. Raises CodeAssistFailed."""
    request = {"project": project_id} if project_id else {}
    answer = await _call(client, "fetchAvailableModels", request, access_token)
    models = answer.get("models")
    if not isinstance(models, dict):
        raise CodeAssistFailed("fetchAvailableModels answered without a list of models.")
    _check_length("fetchAvailableModels", models)
    searching = {name for name in as_list(answer.get("webSearchModelIds")) if isinstance(name, str)}
    return {
        model_id: _model_offer(model_id, model, searches_web=model_id in searching)
        for model_id, model in models.items()
        if isinstance(model, dict) and word(model_id, LONGEST_MODEL_ID)
    }


async def retrieve_cli_quota(
    client: AccountsClient, access_token: str, project_id: str
) -> dict[str, ModelOffer]:
    """Fetch the remaining quota of Gemini models in header mode `cli`, which has a quota pool of its own.

    The answer is {"buckets": [{"modelId", "remainingFraction", "resetTime"}]}; the call has that mode's
    headers. A model may have several buckets, one for each tier of the account
    (google-gemini/gemini-cli#27221): the fullest one counts. A name ending in _vertex is that of Google's
    other address (Curbob/LobsterBoard#16).
    """
    request = {"project": project_id} if project_id else {}
    answer = await _call(client, "retrieveUserQuota", request, access_token, mode="cli")
    buckets = as_list(answer.get("buckets"))
    _check_length("retrieveUserQuota", buckets)
    offers = [
        _model_offer(model_id, {"quotaInfo": bucket})
        for bucket in buckets
        if isinstance(bucket, dict) and (model_id := word(bucket.get("modelId"), LONGEST_MODEL_ID))
    ]
    fullest_last = sorted(offers, key=lambda offer: offer.remaining_fraction or 0.0)
    return {offer.id: offer for offer in fullest_last if not offer.id.endswith(VERTEX_SUFFIX)}


async def retrieve_quota_windows(
    client: AccountsClient, access_token: str, project_id: str
) -> list[WindowOffer]:
    """Return what is left of five hours and of a week for each family of models, in header mode antigravity.

    {"groups": [{"displayName", "buckets": [{"bucketId", "window", "remainingFraction", "resetTime"}]}]}, with
    the bucketIds gemini-5h, gemini-weekly, 3p-5h and 3p-weekly (router-for-me/CLIProxyAPI#3876,
    Wei-Shaw/sub2api#7295). Each address has its own numbers: those of the one that serves requests count
    (Javis603/token-monitor#722). Many accounts are refused with 403 or 404. Raises CodeAssistFailed.
    """
    request = {"project": project_id} if project_id else {}
    answer = await _call(
        client, "retrieveUserQuotaSummary", request, access_token, final=frozenset({400, 401, 403, 404})
    )
    groups = [as_object(group) for group in as_list(answer.get("groups"))]
    buckets = [as_object(bucket) for group in groups for bucket in as_list(group.get("buckets"))]
    _check_length("retrieveUserQuotaSummary", buckets)
    found = {
        (family, span): WindowOffer(
            family, span, _remaining(bucket), parse_timestamp(bucket.get("resetTime"))
        )
        for bucket in buckets
        for family, span in [WINDOWS.get(str(bucket.get("bucketId")), ("", ""))]
        if family
    }
    return list(found.values())


async def generate_a_token(client: AccountsClient, access_token: str, project_id: str, model_id: str) -> None:
    """Generate a single token, to check whether a model answers this account. Raises CodeAssistFailed."""
    envelope = {
        "project": project_id,
        "model": model_id,
        "userAgent": "antigravity",
        "requestType": "agent",
        "requestId": f"agent-{uuid.uuid4()}",
        "request": {
            "contents": [{"role": "user", "parts": [{"text": "Hello."}]}],
            "generationConfig": {"maxOutputTokens": 1},
        },
    }
    await _call(client, "generateContent", envelope, access_token)


async def _call(
    client: AccountsClient,
    method: str,
    request: dict[str, Any],
    access_token: str,
    *,
    mode: HeaderMode = "antigravity",
    prod_first: bool = False,
    final: frozenset[int] = frozenset({400, 401}),
) -> dict[str, Any]:
    """Try each base URL in turn, until one answers or fails with an error that all would give: one with a
    status of `final`."""
    failure = CodeAssistFailed(f"{method} was not tried.")
    for base in base_urls("cli" if prod_first else mode):
        try:
            answer = await client.post(
                f"{base}/v1internal:{method}",
                data=orjson.dumps(request),
                headers={**headers(mode), "Authorization": f"Bearer {access_token}"},
            )
        except CallFailed as error:
            failure = CodeAssistFailed(f"{method}: {base} {error}")
            continue
        if answer.status == 200:
            return _json_object(method, answer.content)
        error_answer = parse_error(answer.status, answer.content, answer.headers, now=datetime.now(UTC))
        remark = CLOSED_API_REMARK if is_closed_api(error_answer) else ""
        failure = CodeAssistFailed(f"{method}: {error_answer}{remark}", error_answer)
        if answer.status in final:
            break
    raise failure


def _json_object(method: str, raw: bytes) -> dict[str, Any]:
    try:
        answer = parse_json(raw)
    except NotJson as error:
        raise CodeAssistFailed(f"{method} answered something that is not JSON.") from error
    if not isinstance(answer, dict):
        raise CodeAssistFailed(f"{method} answered something that is not an object.")
    return answer


# The project: a string, or an object with an id


def _project_id(project: Any) -> str:
    """Return the project id, "" for none. Raises CodeAssistFailed for one that cannot be stored and sent."""
    if isinstance(project, dict):
        project = project.get("id")
    if not isinstance(project, str) or not project:
        return ""
    if word(project, LONGEST_NAME) is None:
        raise CodeAssistFailed("Google answered with a project id that is none.")
    return project


# Tiers


def tier_of(answer: dict[str, Any]) -> str:
    """Return the account's tier: ultra, pro, free or unknown. The paid tier decides, else the current one,
    else the default offer."""
    for tier in (answer.get("paidTier"), answer.get("currentTier"), _default_tier(answer)):
        if (name := _tier_name(tier)) != "unknown":
            return name
    return "unknown"


def _tier_name(tier: Any) -> str:
    tier_id = str(as_object(tier).get("id", "")).lower()
    if "ultra" in tier_id:
        return "ultra"
    if tier_id == "standard-tier" or any(word in tier_id for word in ("pro", "premium", "plus")):
        return "pro"
    return "free" if "free" in tier_id else "unknown"


def _default_tier(answer: dict[str, Any]) -> dict[str, Any]:
    tiers = [tier for tier in as_list(answer.get("allowedTiers")) if isinstance(tier, dict)]
    return next((tier for tier in tiers if tier.get("isDefault")), tiers[0] if tiers else {})


def _default_tier_id(answer: dict[str, Any]) -> str:
    return word(_default_tier(answer).get("id"), LONGEST_NAME) or "free-tier"


def _verification_link(answer: dict[str, Any]) -> str:
    """Return the verification page for the account's current or default tier, "" for none. Other ineligible
    tiers are ignored."""
    current = answer.get("currentTier")
    tier_id = current.get("id") if isinstance(current, dict) else _default_tier_id(answer)
    for tier in map(as_object, as_list(answer.get("ineligibleTiers"))):
        is_it = tier.get("reasonCode") == "VALIDATION_REQUIRED" and tier.get("tierId") == tier_id
        if is_it and is_googles_page(tier.get("validationUrl")):
            return str(tier["validationUrl"])
    return ""


# Models


def _check_length(method: str, models: Sized) -> None:
    if len(models) > MOST_MODELS:
        raise CodeAssistFailed(f"{method} answered with more than {MOST_MODELS:,} models.")


def _model_offer(model_id: str, model: dict[str, Any], *, searches_web: bool = False) -> ModelOffer:
    quota = as_object(model.get("quotaInfo"))
    name = model.get("displayName")
    return ModelOffer(
        id=model_id,
        display_name=truncate(name, LONGEST_NAME) if isinstance(name, str) and name else model_id,
        max_input_tokens=whole_number(model.get("maxTokens"), 1, MOST_TOKENS),
        max_output_tokens=whole_number(model.get("maxOutputTokens"), 1, MOST_TOKENS),
        remaining_fraction=_remaining(quota),
        reset_at=parse_timestamp(quota.get("resetTime")),
        searches_web=searches_web,
    )


def _remaining(quota: dict[str, Any]) -> float | None:
    """Return the remaining fraction. proto3 JSON omits zeros, so a reset time without a fraction means that
    nothing is left."""
    if (fraction := quota.get("remainingFraction")) is not None:
        return number(fraction, 0.0, 1.0)
    return 0.0 if "resetTime" in quota else None
