"""The remaining quotas of the demo's accounts, and how they were used in the last hours.

ada is running out of Claude, and has had no Gemini left for an hour; linus has plenty; Google asks to verify
grace.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy_site.emulator.accounts import WINDOW_SECONDS, Quota
from proxy_site.emulator.methods.verification import verification_url
from proxy_site.emulator.models import CLAUDE_POOL, GEMINI_CLI_POOL

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer

ADA, GRACE, LINUS = "ada@example.com", "grace@example.com", "linus@example.com"
MINUTE = 60.0
GRACE_UNVERIFIED_SECONDS = 55 * MINUTE
"""How long ago Google first asked to verify grace. Her quotas have been neither used nor read since."""
WINDOW_OF_FORECAST = 120 * MINUTE
"""The window of forecasts, as in accounts/quota/forecast.py."""
ADA_WITHOUT_GEMINI_SECONDS = 70 * MINUTE
"""How long ago ada's quota for Gemini ran out."""
WEEK_RESETS_IN = 3 * 24 * 60 * MINUTE + 5 * 60 * MINUTE
WINDOWS_USED_THIS_WEEK = 3
"""How many windows were used this week before the open ones."""


@dataclass(frozen=True, slots=True)
class Use:
    """How a quota was used: down to the fraction `left` in the open window, and to `left_before` in each
    window before it. Times are seconds."""

    left: float
    left_before: float
    resets_in: float
    idle_for: float = 0.0
    """The time for which nothing has been used, in seconds."""

    def fraction(self, ago: float) -> float:
        """Return the fraction that was left this many seconds ago. A window is used faster the longer it is
        open."""
        end = self.window_end(ago)
        start = end - WINDOW_SECONDS
        left, last_use = (self.left, -self.idle_for) if end > 0 else (self.left_before, end)
        done = min(1.0, (-ago - start) / (last_use - start))
        return 1 - (1 - left) * math.pow(done, 1.3)

    def window_end(self, ago: float) -> float:
        """Return the end of the window that was open this many seconds ago, in seconds from now; negative for
        an earlier window."""
        return self.resets_in - (self.resets_in + ago) // WINDOW_SECONDS * WINDOW_SECONDS


USES: dict[tuple[str, str], Use] = {
    (ADA, CLAUDE_POOL): Use(0.2, 0.35, resets_in=100 * MINUTE),
    (ADA, GEMINI_CLI_POOL): Use(0.0, 0.55, resets_in=20 * MINUTE, idle_for=ADA_WITHOUT_GEMINI_SECONDS),
    (GRACE, CLAUDE_POOL): Use(0.78, 0.12, resets_in=150 * MINUTE, idle_for=GRACE_UNVERIFIED_SECONDS),
    (GRACE, GEMINI_CLI_POOL): Use(0.7, 0.5, resets_in=80 * MINUTE, idle_for=GRACE_UNVERIFIED_SECONDS),
    (LINUS, CLAUDE_POOL): Use(0.74, 0.6, resets_in=130 * MINUTE),
    (LINUS, GEMINI_CLI_POOL): Use(0.86, 0.8, resets_in=200 * MINUTE),
}
"""The use of each quota, by account and pool. The other pools are not used."""


def prepare(server: EmulatorServer) -> None:
    """Set the quotas of the emulator's accounts to what is left now."""
    now = server.state.clock.now()
    for (email, pool), use in USES.items():
        quota = server.state.quota(email, pool)
        quota.used, quota.reset_at = requests_used(quota, use.left), now + use.resets_in
        quota.used_before = round(WINDOWS_USED_THIS_WEEK * (1 - use.left_before) * (quota.limit or 0))
        quota.week_reset_at = now + WEEK_RESETS_IN
    _go_on(server.state.quota(ADA, CLAUDE_POOL), USES[ADA, CLAUDE_POOL], now)
    grace = server.state.account(GRACE)
    grace.project = f"emulator-project-{grace.short_name}"  # she has been used before
    server.state.require_verification(GRACE, verification_url(server.url, GRACE))


def _go_on(quota: Quota, use: Use, now: float) -> None:
    """Use the quota as fast as in the last hours, so that the forecast comes true, whatever the gateway
    sends."""
    per_hour = (use.fraction(WINDOW_OF_FORECAST) - use.left) / WINDOW_OF_FORECAST * 3600
    quota.used_elsewhere_per_hour = per_hour * (quota.limit or 0)
    quota.counted_elsewhere_until = now


def requests_used(quota: Quota, left: float) -> int:
    """Return how many of the quota's requests are used when this fraction is left."""
    return round((quota.limit or 0) * (1 - left))
