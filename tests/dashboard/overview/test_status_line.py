from __future__ import annotations

from datetime import UTC, datetime, timedelta

from accounts.models import Account
from accounts.quota.pools import QuotaPool
from dashboard.overview.status_line import FamilyStatus, out_of_quota, status_of_families

SOON = datetime.now(UTC) + timedelta(hours=1)
LATER = SOON + timedelta(hours=1)
CLAUDE, GEMINI = QuotaPool("Claude, GPT", "antigravity"), QuotaPool("Gemini (cli)", "cli")


def empty(pool: QuotaPool, until: datetime) -> QuotaPool:
    return QuotaPool(pool.name, pool.header_mode, refused_until=until)


def test_without_accounts_no_family_can_be_used() -> None:
    assert [status.level for status in status_of_families([])] == ["bad", "bad"]


def test_unknown_quotas_count_as_available() -> None:
    claude, gemini = status_of_families([(True, [CLAUDE, GEMINI])])
    assert (claude, gemini) == (FamilyStatus("Claude", 1, 1), FamilyStatus("Gemini", 1, 1))
    assert claude.level == "good"


def test_an_unusable_account_counts_for_no_family() -> None:
    claude, _ = status_of_families([(True, [CLAUDE, GEMINI]), (False, [CLAUDE, GEMINI])])
    assert (claude.available, claude.accounts, claude.level) == (1, 2, "warn")


def test_an_empty_family_names_the_first_return() -> None:
    accounts = [(True, [empty(CLAUDE, LATER), GEMINI]), (True, [empty(CLAUDE, SOON), GEMINI])]
    claude, gemini = status_of_families(accounts)
    assert (claude.level, claude.back_at) == ("bad", SOON)
    assert (gemini.level, gemini.back_at) == ("good", None)


def test_the_account_that_is_back_first_comes_first() -> None:
    ada, grace, linus = (Account(email=name, terms_accepted_at=SOON) for name in ("ada", "grace", "linus"))
    linus.enabled = False
    claude = [(ada, [empty(CLAUDE, LATER), GEMINI]), (grace, [empty(CLAUDE, SOON)])]

    found = out_of_quota([*claude, (linus, [empty(CLAUDE, SOON), empty(GEMINI, SOON)])])

    assert found == [(grace, "Claude", SOON), (ada, "Claude", LATER)]


def test_one_account_with_quota_is_enough() -> None:
    claude, _ = status_of_families([(True, [empty(CLAUDE, SOON)]), (True, [CLAUDE])])
    assert (claude.available, claude.level, claude.back_at) == (1, "warn", None)


def test_a_model_with_a_quota_of_its_own_keeps_its_family() -> None:
    pools = [empty(QuotaPool("gemini-3-pro", "cli"), SOON), QuotaPool("gemini-3-flash", "cli")]
    assert status_of_families([(True, pools)])[1].available == 1
