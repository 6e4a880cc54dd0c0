"""The emulator's accounts: what each may use, and how much of it is left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from proxy_site.emulator.models import POOLS, WEB_SEARCH_MODELS

TierId = Literal["free-tier", "g1-pro-tier", "g1-ultra-tier"]

TIER_NAMES: dict[TierId, str] = {
    "free-tier": "Antigravity",
    "g1-pro-tier": "Google AI Pro",
    "g1-ultra-tier": "Google AI Ultra",
}

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"

REQUESTS_PER_WINDOW: dict[TierId, int] = {"free-tier": 500, "g1-pro-tier": 2_000, "g1-ultra-tier": 10_000}
WINDOW_SECONDS = 5 * 3600.0
WEEK_SECONDS = 7 * 24 * 3600.0
WINDOWS_PER_WEEK = 10
"""How many times as many requests a week allows as one window."""


@dataclass
class Quota:
    """The number of requests that one account may send to one pool. A window opens with its first request.

    ``limit`` None means no limit. Times are seconds since the epoch.
    """

    limit: int | None
    window_seconds: float = WINDOW_SECONDS
    used: int = 0
    reset_at: float | None = None
    used_elsewhere_per_hour: float = 0.0
    """The requests per hour of the same person's other programs, spread evenly."""
    counted_elsewhere_until: float = 0.0
    """The time until which those are part of ``used``."""
    used_before: int = 0
    """The requests in earlier windows of the week."""
    week_reset_at: float | None = None

    def refresh(self, now: float) -> None:
        if self.reset_at is not None and now >= self.reset_at:
            self.counted_elsewhere_until = max(self.counted_elsewhere_until, self.reset_at)
            self.used_before += self.used
            self.used, self.reset_at = 0, None
        if self.week_reset_at is not None and now >= self.week_reset_at:
            self.used_before, self.week_reset_at = 0, None
        if self.used_elsewhere_per_hour and self.limit is not None:
            self._count_elsewhere(now, self.limit)

    def _count_elsewhere(self, now: float, limit: int) -> None:
        seconds_each = 3600 / self.used_elsewhere_per_hour
        count = int((now - self.counted_elsewhere_until) / seconds_each)
        if count > 0:
            self.counted_elsewhere_until += count * seconds_each
            self.used = min(limit, self.used + count)
            self.reset_at = self.reset_at or now + self.window_seconds

    def take(self, now: float) -> bool:
        """Count one request; False when none is left."""
        self.refresh(now)
        if self.limit is None:
            return True
        if self.used >= self.limit:
            return False
        if self.reset_at is None:
            self.reset_at = now + self.window_seconds
        self.used += 1
        return True

    def remaining_fraction(self, now: float) -> float:
        self.refresh(now)
        if self.limit is None:
            return 1.0
        return max(0.0, 1 - self.used / self.limit) if self.limit else 0.0

    def resets_at(self, now: float) -> float:
        """Return the time when the quota is full again. A window that is not open yet would end one window
        from now."""
        return self.reset_at if self.reset_at is not None else now + self.window_seconds

    def week(self, now: float) -> tuple[float, float]:
        """Return the remaining fraction of the week, and the time when it is full again. A week begins with
        the first look at a quota that has been used; until then its end moves with the clock."""
        self.refresh(now)
        used = self.used_before + self.used
        if self.week_reset_at is None:
            self.week_reset_at = now + WEEK_SECONDS if used else None
        allowed = (self.limit or 0) * WINDOWS_PER_WEEK
        fraction = max(0.0, 1 - used / allowed) if allowed else self.remaining_fraction(now)
        return fraction, self.week_reset_at or now + WEEK_SECONDS


@dataclass
class Account:
    """One account. ``project`` is None until onboarded; the fields below it are states in which Google can
    put an account."""

    email: str
    name: str
    tier: TierId
    refresh_token: str
    project: str | None = None
    quotas: dict[str, Quota] = field(default_factory=dict)
    project_as_object: bool = False
    """Google sends cloudaicompanionProject as a string to some accounts and as an object to others."""
    can_be_onboarded: bool = True
    revoked: bool = False
    disabled_by_provider: bool = False
    verification_url: str | None = None
    licensed: bool = True
    scopes: str = CLOUD_PLATFORM
    """The scopes that its sign-in was granted, separated by blanks."""
    consented: bool = False
    consent_refusal: str = ""
    """The error after this account was chosen: access_denied, admin_policy_enforced or org_internal."""
    has_quota_windows: bool = True
    """False when retrieveUserQuotaSummary is refused with 403, as it is for many accounts."""
    withheld_models: list[str] = field(default_factory=list)
    """Ids that are neither listed for this account nor served to it, like models that are released to
    accounts in turn."""
    web_search_models: list[str] = field(default_factory=lambda: list(WEB_SEARCH_MODELS))
    """Ids that are listed as searching the web and that do so for this account."""

    def __post_init__(self) -> None:
        for pool in POOLS:
            self.quotas.setdefault(pool, Quota(REQUESTS_PER_WINDOW[self.tier]))

    @property
    def short_name(self) -> str:
        return self.email.partition("@")[0]


def sample_account(email: str, name: str, tier: TierId, *, onboarded: bool = True) -> Account:
    short_name = email.partition("@")[0]
    return Account(
        email=email,
        name=name,
        tier=tier,
        refresh_token=f"emulator-refresh-{short_name}",
        project=f"emulator-project-{short_name}" if onboarded else None,
    )


def sample_accounts() -> list[Account]:
    """Create accounts of three tiers, with both forms of the project, and one that has never used the
    service."""
    ada = sample_account("ada@example.com", "Ada Lovelace", "g1-pro-tier")
    grace = sample_account("grace@example.com", "Grace Hopper", "free-tier", onboarded=False)
    linus = sample_account("linus@example.com", "Linus Pauling", "g1-ultra-tier")
    linus.project_as_object = True
    return [ada, grace, linus]
