"""The action an operator must take before an account can be used."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.models import Account

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class RequiredAction:
    """The reason why an account cannot be used, and what to do about it. `command` does it from the terminal:
    the arguments of `manage.py`, quoted for a shell."""

    problem: str
    what_to_do: str
    command: str
    since: datetime | None = None
    reason: str = ""
    link: str = ""


STATES: dict[str, tuple[str, str]] = {
    Account.State.INVALID: (
        "Sign in again as this account.",
        "addaccount --email {name}",
    ),
    Account.State.NEEDS_VERIFICATION: (
        "Open Google's page, sign in there as this account, do what it asks, then have it checked again.",
        "verifyaccounts {name}",
    ),
    Account.State.DISABLED_BY_PROVIDER: (
        "Google has disabled this account for such use, so it is never tried again by itself. If Google has "
        "given it back to you, have it checked again; else remove it.",
        "verifyaccounts {name}",
    ),
    Account.State.NEEDS_PROJECT: (
        "Set a Cloud project of your own on the account's page, or have it checked again later.",
        "verifyaccounts {name}",
    ),
}


KEYED_STATES: dict[str, tuple[str, str, str]] = {
    Account.State.INVALID: (
        "Key refused",
        "Enter a new key of its provider, or remove the account.",
        "addaccount --kind {kind} --replace {name}",
    ),
    Account.State.DISABLED_BY_PROVIDER: (
        "Disabled by its provider",
        "Its provider has suspended the key's project or organisation, so it is never tried again by itself. "
        "When that is settled, have it checked again; else remove it.",
        "verifyaccounts {name}",
    ),
}
"""The problem, what to do about it and the command, by state, for accounts that are keys."""


def required_action(account: Account) -> RequiredAction | None:
    """Return the action for this account; None when it can be used. A state other than OK comes first, then
    terms that are not accepted, then a disabled account."""
    if account.is_usable:
        return None
    name = shlex.quote(account.name)
    if account.state in STATES:
        problem, what_to_do, command = remedy_of(account.kind, account.state)
        return RequiredAction(
            problem=problem,
            what_to_do=what_to_do,
            command=command.format(name=name, kind=account.kind),
            since=account.state_since,
            reason=account.state_reason,
            link=account.state_link,
        )
    if account.terms_accepted_at is None:
        return RequiredAction(
            problem="Terms not accepted",
            what_to_do="Read the notice about Google's terms and accept it for this account.",
            command=f"enableaccount {name} --accept-terms",
            reason="" if account.enabled else account.state_reason,
        )
    reason = account.state_reason
    return RequiredAction("Switched off", "Switch it on again.", f"enableaccount {name}", reason=reason)


def remedy_of(kind: str, state: str) -> tuple[str, str, str]:
    """Return the problem of a state other than OK, what to do about it, and the command."""
    if kind != "google" and state in KEYED_STATES:
        return KEYED_STATES[state]
    return Account.State(state).label, *STATES[state]
