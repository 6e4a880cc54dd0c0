"""The facts about accounts that pages show. The number of queries does not grow with the number of
accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.functional import cached_property

from accounts.kinds.registry import KINDS
from accounts.live_settings import live
from accounts.models import Account, Cooldown
from accounts.quota.pools import pools_of
from accounts.status.required_action import required_action
from accounts.status.unpaid_keys import STANDS_BY, keys_standing_by
from accounts.terms import NOTICE
from dashboard.account_pools import ShownQuota
from dashboard.addresses import address
from dashboard.views.accounts import sparkline
from dashboard.views.accounts.states import solving_actions, state_of, why_unused
from gateway.ledger import usage
from gateway.service import running_gateway

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accounts.kinds.base import Kind
    from accounts.quota.pools import QuotaPool
    from accounts.status.required_action import RequiredAction
    from dashboard.overview.attention import Action
    from dashboard.views.accounts.states import ShownState

HOURS = 24
OLD_QUOTA = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Said:
    """The result of an action, as a message for the operator."""

    text: str
    is_good: bool = True


@dataclass(frozen=True)
class Card:
    """The facts about one account. Those that templates use several times are computed once."""

    account: Account
    pools: list[QuotaPool]
    """The account's quota pools, those that requests use now first."""
    cooldowns: list[Cooldown]
    in_flight: int | None
    """The number of its requests now; None in a process that serves no requests."""
    hours: Sequence[int] = field(default=())
    """The number of requests in each of the last HOURS hours, oldest first."""
    said: Said | None = None
    stands_by: bool = False
    """True for an unpaid key that is not used because another one is."""

    @cached_property
    def number(self) -> str:
        """The account's number as text, so that templates do not format it."""
        return str(self.account.pk)

    @cached_property
    def name(self) -> str:
        return str(self.account)

    @property
    def kind(self) -> Kind:
        return KINDS[self.account.kind]

    @property
    def page_url(self) -> str:
        return address("account", self.account.pk)

    @property
    def act_url(self) -> str:
        return address("account_action", self.account.pk)

    @property
    def state(self) -> ShownState:
        return state_of(self.account, self.pools, stands_by=self.stands_by)

    @cached_property
    def required_action(self) -> RequiredAction | None:
        return required_action(self.account)

    @property
    def has_messages(self) -> bool:
        """Whether the card has anything to show above its quotas."""
        return self.said is not None or self.stands_by or self.shows_action

    @property
    def shows_action(self) -> bool:
        """Whether the required action is shown. It is not for an account that the operator switched off, but
        is if the server did."""
        action, account = self.required_action, self.account
        is_off = not account.enabled and account.state == Account.State.OK
        return action is not None and (not is_off or bool(action.reason))

    @cached_property
    def links(self) -> list[Action]:
        """The links to where the required action is done; its buttons are in each card."""
        return [action for action in solving_actions(self.account) if not action.post]

    @property
    def needs_project(self) -> bool:
        return self.account.state == Account.State.NEEDS_PROJECT

    @property
    def needs_terms(self) -> bool:
        return self.account.terms_accepted_at is None

    @property
    def why_it_stands_by(self) -> str:
        return STANDS_BY

    @property
    def notice(self) -> str:
        return NOTICE

    @cached_property
    def why_unused(self) -> str:
        return why_unused(self.account)

    @cached_property
    def quotas(self) -> list[ShownQuota]:
        """The pools that requests use now."""
        used = [pool for pool in self.pools if pool.is_in_use]
        return [ShownQuota(None, pool, self.why_unused) for pool in used]

    @cached_property
    def in_other_mode(self) -> list[QuotaPool]:
        """The pools of the header mode that requests do not use now, if something is known of them."""
        others = [pool for pool in self.pools if not pool.is_in_use]
        return [pool for pool in others if pool.remaining_fraction is not None]

    @property
    def is_quota_known(self) -> bool:
        return any(one.pool.remaining_fraction is not None for one in self.quotas)

    @cached_property
    def old_since(self) -> datetime | None:
        """When the quotas were last read, if that is more than OLD_QUOTA ago; else None."""
        seen = [pool.newest.seen_at for pool in self.pools if pool.newest is not None]
        newest = max(seen, default=None)
        return newest if newest is not None and timezone.now() - newest > OLD_QUOTA else None

    @cached_property
    def limit(self) -> int:
        """The most concurrent requests of the account; 0 for no limit."""
        limits = (int(live("MAX_CONCURRENT_REQUESTS")), self.account.switches.max_requests)
        return min((limit for limit in limits if limit), default=0)

    @cached_property
    def requests(self) -> int:
        return sum(self.hours)

    @property
    def bars(self) -> str:
        return sparkline.bars(self.hours)


def cards_of(accounts: Sequence[Account], said: Said | None = None) -> list[Card]:
    """Return the cards, with four queries: snapshots, windows, cooldowns, requests by hour; and a fifth for
    unpaid keys, if there are any."""
    numbers = [account.pk for account in accounts]
    lasting = _lasting(numbers)
    pools, standing_by = pools_of(accounts, lasting), keys_standing_by(accounts)
    this_hour = timezone.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [this_hour - timedelta(hours=ago) for ago in reversed(range(HOURS))]
    requests = usage.requests_by_account(hours[0])
    return [
        Card(
            account,
            pools[account.pk],
            [cooldown for cooldown in lasting if cooldown.account_id == account.pk],
            _in_flight(account),
            [requests.get(account.name, {}).get(hour, 0) for hour in hours],
            said,
            account.pk in standing_by,
        )
        for account in accounts
    ]


def card_of(account: Account, said: Said | None = None) -> Card:
    """Return the card of the account's own page, which does not show requests by hour."""
    lasting = _lasting([account.pk])
    pools = pools_of([account], lasting)[account.pk]
    stands_by = bool(keys_standing_by([account]))
    return Card(account, pools, lasting, _in_flight(account), said=said, stands_by=stands_by)


def _lasting(numbers: Sequence[int]) -> list[Cooldown]:
    return list(Cooldown.lasting().filter(account_id__in=numbers))


def _in_flight(account: Account) -> int | None:
    """Return the number of the account's requests, from the memory of this process; None when it serves
    none."""
    gateway = running_gateway()
    return None if gateway is None else gateway.accounts.pool.in_flight(account.pk)
