"""Checks that ask Google: about the OAuth client, each account, header modes and models."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.command_line import manage
from accounts.credentials.access_tokens import AccessTokens
from accounts.credentials.encryption import CredentialsUnreadable
from accounts.failures import AccountCheckFailed, UpstreamError
from accounts.google.client_check import check_client_with
from accounts.google.oauth import ClientSecretWrong, SignInExpired, TokenEndpointDown
from accounts.google.sign_in import NEEDED_SCOPES, SCOPE_PREFIX, authorization_url, new_code_verifier
from accounts.inspection import AT_ONCE, AccountErrors, inspect_account
from accounts.kinds.base import Inspection, OutOfUse
from accounts.kinds.registry import KINDS
from accounts.live_settings import live
from accounts.status.required_action import STATES, remedy_of, required_action
from gateway.routing import resolution
from gateway.routing.upstream_model import family_of
from proxy_site.doctor.findings import Finding, ok, problem, skipped, warning
from proxy_site.doctor.network import SECONDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from accounts.models import Account
    from accounts.network import AccountsClient
    from accounts.offers import ModelOffer

ACCOUNT_SECONDS = 4.5
"""The time limit of an inspection, which makes five calls, one after the other."""
SCOPE_MISSING = "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
"""The reason in Google's error for a token without the scope that a call needs (google.rpc.ErrorReason)."""
SIGN_IN_AGAIN = "Sign in again as this account"
OTHER_MODE = {"cli": "antigravity", "antigravity": "cli"}
FAMILY_NAMES = {"claude": "Claude", "gemini": "Gemini", "gpt": "GPT", "unknown": "other"}


# The OAuth client


async def check_client(client: AccountsClient, kinds: Collection[str]) -> Finding:
    """Check whether Google knows OAUTH_CLIENT_ID and its secret, and lets the client ask for the scopes.
    `kinds` are those of the accounts."""
    if kinds and "google" not in kinds and not settings.OAUTH_CLIENT_ID:
        return skipped("OAuth client", "Not needed: there is no Google account")
    if missing := sorted(NEEDED_SCOPES - set(settings.OAUTH_SCOPES)):
        short = " and ".join(scope.removeprefix(SCOPE_PREFIX) for scope in missing)
        step = "Take OAUTH_SCOPES out: its default has what is needed. Then sign the accounts in again."
        return problem("OAuth client", f"OAUTH_SCOPES lacks {short}, which every account needs.", step)
    try:
        async with asyncio.timeout(SECONDS):
            note = await _try_client(client)
    except ClientSecretWrong as error:
        step = "Set OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET to what Google's page shows, and restart."
        return problem("OAuth client", str(error), step)
    except (TokenEndpointDown, TimeoutError):
        return skipped("OAuth client", "Not checked: the token endpoint does not answer")
    if note:
        return warning("OAuth client", note, "Sign-ins may still work in a browser.")
    return ok("OAuth client", "Google knows it, and lets it ask for the scopes")


async def _try_client(client: AccountsClient) -> str:
    """Try the client and return a note, or "". Raises ClientSecretWrong and TokenEndpointDown."""
    redirect_uri = f"http://127.0.0.1:{settings.OAUTH_CALLBACK_PORT}/oauth-callback"
    verifier = new_code_verifier()
    address = authorization_url(state="doctor", code_verifier=verifier, redirect_uri=redirect_uri)
    return await check_client_with(client, address, redirect_uri)


# Accounts


def no_account() -> Finding:
    file = settings.DATA_DIR / "accounts.json"
    command = f"importaccounts {file}" if file.is_file() else "addaccount"
    return warning("Accounts", "There is no account yet, so that no request is answered.", manage(command))


async def check_accounts(client: AccountsClient, accounts: Sequence[Account]) -> list[Finding]:
    """Return one finding for each account, then the header mode and the models of those that work."""
    tokens = AccessTokens(client)
    few_at_once = asyncio.Semaphore(AT_ONCE)

    async def inspect(number: int, account: Account) -> tuple[Finding, Inspection | None]:
        async with few_at_once:
            return await _inspect(client, tokens, f"Account {number}", account)

    pairs = await asyncio.gather(*(inspect(number, one) for number, one in enumerate(accounts, 1)))
    inspections = [inspection for _, inspection in pairs if inspection is not None]
    of_google = [
        inspection
        for account, (_, inspection) in zip(accounts, pairs, strict=True)
        if inspection is not None and account.kind == "google"
    ]
    findings = [finding for finding, _ in pairs]
    findings += [about_header_mode(of_google)] if of_google else []
    return [*findings, about_models(inspections)] if inspections else findings


async def _inspect(
    client: AccountsClient, tokens: AccessTokens, name: str, account: Account
) -> tuple[Finding, Inspection | None]:
    who = hidden(account.name)
    if not account.is_usable:
        return _about_unusable(name, who, account), None
    try:
        async with asyncio.timeout(ACCOUNT_SECONDS):
            inspection = await inspect_account(client, tokens, account)
    except TimeoutError:
        provider = KINDS[account.kind].provider
        sentence = f"{who}: {provider} has not answered within {ACCOUNT_SECONDS:.0f} s"
        return warning(name, sentence, f"Try it alone: {manage('verifyaccounts')}"), None
    except AccountErrors as error:
        return _about_failure(name, who, account, error), None
    models = _served(inspection)
    is_in = "signed in" if account.kind == "google" else "its key works"
    tier = inspection.tier if inspection.tier != "unknown" else account.tier
    sentence = f"{who}: {is_in}, tier {tier}, {len(models)} models"
    if not models:
        provider = KINDS[account.kind].provider
        return problem(name, f"{who}: {provider} offers it no model.", _other_tier(inspection)), inspection
    return ok(name, sentence), inspection


def _other_tier(inspection: Inspection) -> str:
    return f"Its tier is {inspection.tier}: look at what Google offers for it, or add an account of another."


def _about_unusable(name: str, who: str, account: Account) -> Finding:
    action = required_action(account)
    assert action is not None
    sentence = f"{who}: {action.problem}. {action.reason}".strip().replace(account.name, who)
    if account.state in STATES:
        return problem(name, sentence, _act(action.what_to_do))
    return skipped(name, sentence, action.what_to_do)


def _about_failure(name: str, who: str, account: Account, error: Exception) -> Finding:
    sentence = f"{who}: {error}".replace(account.name, who)
    if isinstance(error, ClientSecretWrong):
        return skipped(name, f"{who}: not checked, because the OAuth client is refused")
    if isinstance(error, CredentialsUnreadable):
        return skipped(name, f"{who}: not checked, because its credential does not open")
    if isinstance(error, SignInExpired):
        return problem(name, sentence, f"{SIGN_IN_AGAIN}: {manage('addaccount')}")
    if isinstance(error, OutOfUse):
        return problem(name, sentence, _act(remedy_of(account.kind, error.state)[1]))
    if isinstance(error, AccountCheckFailed) and error.error is not None:
        return _about_refusal(name, who, sentence, error.error)
    return skipped(name, sentence)  # nothing has answered, which Endpoint has


def _about_refusal(name: str, who: str, sentence: str, error: UpstreamError) -> Finding:
    if SCOPE_MISSING not in error.reason:
        step = f"{manage('verifyaccounts')} tries it again; docs/google-oauth.md has more."
        return problem(name, sentence, step)
    return problem(
        name,
        f"{who}: the sign-in lacks the scope cloud-platform, so Google refuses its calls.",
        f"{SIGN_IN_AGAIN}, and tick every box that Google shows: {manage('addaccount')}",
    )


def _act(what_to_do: str) -> str:
    """Return the step without Google's page for it, whose address may name the account."""
    return f"{what_to_do} {manage('listaccounts')} has the page and the command."


def hidden(name: str) -> str:
    """Return the name for a report that may be shared. An e-mail address becomes a…@example.com, with at most
    half of the part before the @."""
    local, _, domain = name.partition("@")
    if not domain:
        return name
    return f"{local[: min(2, len(local) // 2)]}…@{domain}"


# Header mode and models


def about_header_mode(inspections: Sequence[Inspection]) -> Finding:
    """Check whether the other header mode would serve Gemini models that this one does not."""
    mode = str(live("GEMINI_HEADER_MODE"))
    other = OTHER_MODE[mode]
    here, there = _gemini(inspections, mode), _gemini(inspections, other)
    change = f"Set GEMINI_HEADER_MODE={other}, on the page /settings or in .env."
    if there and not here:
        return problem(
            "Header mode",
            f"GEMINI_HEADER_MODE is {mode}, for which Google offers these accounts no Gemini model; "
            f"for {other} it offers {len(there)}.",
            change,
        )
    if any(there.values()) and not any(here.values()):
        return warning("Header mode", f"{mode} has no Gemini quota left; {other} has some.", change)
    return ok("Header mode", f"{mode}: {len(here)} Gemini models; {other} would have {len(there)}")


def _gemini(inspections: Iterable[Inspection], mode: str) -> dict[str, float]:
    """Return the Gemini models of a header mode, each with the largest remaining fraction of any account. An
    unknown fraction counts as 1."""
    left: dict[str, float] = {}
    for one in inspections:
        offers = one.cli_offers if mode == "cli" else one.offers
        for model_id in resolution.visible(offers):
            if family_of(model_id) == "gemini":
                left[model_id] = max(left.get(model_id, 0.0), _remaining(offers[model_id]))
    return left


def _remaining(offer: ModelOffer) -> float:
    return 1.0 if offer.remaining_fraction is None else offer.remaining_fraction


def about_models(inspections: Sequence[Inspection]) -> Finding:
    """Return the models by tier, counted by family."""
    by_tier: dict[str, set[str]] = {}
    for one in inspections:
        by_tier.setdefault(one.tier, set()).update(_served(one))
    lines = tuple(f"{tier}: {_counted(models)}" for tier, models in sorted(by_tier.items()))
    every = set().union(*by_tier.values())
    if not any(family_of(model_id) == "claude" for model_id in every):
        return warning(
            "Models",
            "No account has a Claude model; names such as opus and sonnet get a Gemini model.",
            "Claude models depend on the tier, and are released to accounts in turn: GET /v1/models lists "
            "what there is.",
            lines,
        )
    return ok("Models", f"{len(every)}, by tier:", lines)


def _served(inspection: Inspection) -> list[str]:
    offers = inspection.offers
    if live("GEMINI_HEADER_MODE") == "cli":
        return resolution.visible(resolution.offered_in_cli(offers, inspection.cli_offers))
    return resolution.visible(offers)


def _counted(models: Iterable[str]) -> str:
    count = Counter(FAMILY_NAMES[family_of(model_id)] for model_id in models)
    return ", ".join(f"{number} {family}" for family, number in sorted(count.items()))
