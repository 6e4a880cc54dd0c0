"""The state of an account as a sign, a word and a level, and the actions that solve what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.kinds.registry import KINDS
from accounts.models import Account
from accounts.status.required_action import required_action
from dashboard.addresses import address
from dashboard.overview.attention import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accounts.quota.pools import QuotaPool


@dataclass(frozen=True, slots=True)
class ShownState:
    sign: str
    word: str
    level: str
    """The class in the stylesheet: good; bad where the operator must act; warn where it is enough to wait;
    quiet."""


def state_of(account: Account, pools: Sequence[QuotaPool], *, stands_by: bool) -> ShownState:
    action = required_action(account)
    if action is not None:
        if account.state != Account.State.OK:
            return ShownState("!", action.problem, "bad")
        if account.terms_accepted_at is None:
            return ShownState("!", "Notice not accepted", "bad")
        return ShownState("○", "Off", "quiet")
    if stands_by:
        return ShownState("◌", "Stands by", "quiet")
    used = [pool for pool in pools if pool.is_in_use]
    empty = [pool for pool in used if pool.is_empty]
    if not empty:
        return ShownState("●", "OK", "good")
    if len(empty) < len(used):
        return ShownState("◐", "Partly empty", "warn")
    return ShownState("✕", "Empty", "warn")


def why_unused(account: Account) -> str:
    """Return why no request is sent with the account; "" when it can be used."""
    action = required_action(account)
    return "" if action is None else f"{action.problem}, so it cannot be used"


def solving_actions(account: Account) -> list[Action]:
    """Return the buttons for what keeps the account from being used, in the order in which to press them."""
    if account.is_usable:
        return []
    act_url = address("account_action", account.pk)
    page = address("account", account.pk)
    if account.state == Account.State.INVALID:
        label = "Sign in again" if account.kind == "google" else "Enter a new key"
        return [Action(label, f"{address('account_add')}?account={account.pk}")]
    if account.state == Account.State.NEEDS_PROJECT:
        return [Action("Set a project", page), Action("Check", act_url, "verify")]
    if account.state != Account.State.OK:
        link = account.state_link
        is_web_page = link.startswith(("https://", "http://"))  # the second one of the demo
        label = f"Open {KINDS[account.kind].provider}'s page"
        theirs = [Action(label, link, is_elsewhere=True)] if is_web_page else []
        return [*theirs, Action("Check", act_url, "verify")]
    if account.terms_accepted_at is None:
        return [Action("Read the notice", page)]
    return [Action("Switch on", act_url, "enable")]
