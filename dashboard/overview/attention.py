"""The notices of what needs the operator, worst first, each with the actions that solve it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

    from accounts.status.required_action import RequiredAction
    from dashboard.overview.status_line import FamilyStatus

FAILED_SHARE = 0.2
FEWEST_REQUESTS = 10
"""The fewest requests within five minutes for a notice about their failures."""
OLD_QUOTA_MINUTES = 15


class Rank(IntEnum):
    """The order of notices."""

    CLIENT_REFUSED = 0
    ACCOUNT = 1
    FAMILY_EMPTY = 2
    FAILURES = 3
    LEDGER_WAITS = 4
    OLD_QUOTA = 5


@dataclass(frozen=True, slots=True)
class Action:
    """A button: a link to `url`, or with `post` a form that posts this action to it."""

    label: str
    url: str
    post: str = ""
    is_elsewhere: bool = False
    """True when `url` is a page of Google's, which opens in a window of its own."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice. `at` follows the text, or `further` if there is some: the time since when or until when it
    applies."""

    rank: Rank
    subject: str
    text: str
    actions: tuple[Action, ...] = ()
    at: datetime | None = None
    further: str = ""
    """What is to be done, in full."""
    account_url: str = ""
    """The page of the account that `subject` names; "" when it names none."""

    @property
    def level(self) -> str:
        return "bad" if self.rank <= Rank.FAMILY_EMPTY else "warn"


def of_client(problem: str, url: str) -> Notice:
    return Notice(
        Rank.CLIENT_REFUSED, "Google refuses the OAuth client", problem, (Action("What to do", url),)
    )


def of_account(name: str, url: str, action: RequiredAction, actions: Iterable[Action]) -> Notice:
    return Notice(
        Rank.ACCOUNT,
        name,
        f"{action.problem}.",
        tuple(actions),
        action.since,
        f"{action.what_to_do}{' Since' if action.since else ''}",
        url,
    )


def of_families(families: Iterable[FamilyStatus], url: str) -> list[Notice]:
    """Return the notices about families of models. `url` is the list of accounts."""
    return [
        Notice(
            Rank.FAMILY_EMPTY,
            f"{family.name} cannot be used",
            "No account can answer" + (" until" if family.back_at else " now."),
            (Action("See the accounts", url),),
            family.back_at,
        )
        for family in families
        if family.accounts and not family.available
    ]


def of_failures(failed: int, requests: int, url: str) -> list[Notice]:
    """Return a notice about failures in the last five minutes. `url` is the list of failed requests."""
    if requests < FEWEST_REQUESTS or failed <= FAILED_SHARE * requests:
        return []
    text = f"{failed} of {requests} requests failed in the last five minutes."
    return [Notice(Rank.FAILURES, "Many failures", text, (Action("See them", url),))]


def of_ledger(waiting: int, url: str) -> list[Notice]:
    """Return a notice when the ledger is behind. `waiting` is the number of rows that could not be written
    yet."""
    if not waiting:
        return []
    text = f"{waiting:,} rows wait for the database. Requests go on; the log tells why."
    return [Notice(Rank.LEDGER_WAITS, "The ledger waits", text, (Action("See the log", url),))]


def of_quota(age: timedelta | None, url: str) -> list[Notice]:
    """Return a notice about old quotas. `age` is that of the newest quota of any usable account; None when
    there is none."""
    if age is None or age.total_seconds() < OLD_QUOTA_MINUTES * 60:
        return []
    text = f"The newest quota is {int(age.total_seconds() // 60)} minutes old."
    return [Notice(Rank.OLD_QUOTA, "Old quotas", text, (Action("See the accounts", url),))]


def in_order(notices: Iterable[Notice]) -> list[Notice]:
    return sorted(notices, key=lambda notice: notice.rank)
