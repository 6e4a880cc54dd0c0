from __future__ import annotations

from datetime import UTC, datetime, timedelta

from accounts.kinds.families import families_offered
from accounts.models import Account
from accounts.quota.outlook import FAMILIES
from accounts.quota.pools import QuotaPool
from dashboard.overview.status_line import AccountStatus, FamilyStatus, out_of_quota, status_of_families

SOON = datetime.now(UTC) + timedelta(hours=1)
LATER = SOON + timedelta(hours=1)
CLAUDE, GEMINI = QuotaPool("Claude, GPT", "antigravity"), QuotaPool("Gemini (cli)", "cli")


def empty(pool: QuotaPool, until: datetime) -> QuotaPool:
    return QuotaPool(pool.name, pool.header_mode, refused_until=until)


def test_without_accounts_no_family_can_be_used() -> None:
    assert [status.level for status in status_of_families([])] == ["bad", "bad"]


def test_unknown_quotas_count_as_available() -> None:
    claude, gemini = status_of_families([AccountStatus(True, FAMILIES, [CLAUDE, GEMINI])])
    assert (claude, gemini) == (FamilyStatus("Claude", 1, 1), FamilyStatus("Gemini", 1, 1))
    assert claude.level == "good"


def test_an_unusable_account_counts_for_no_family() -> None:
    claude, _ = status_of_families(
        [AccountStatus(True, FAMILIES, [CLAUDE, GEMINI]), AccountStatus(False, FAMILIES, [CLAUDE, GEMINI])]
    )
    assert (claude.available, claude.accounts, claude.level) == (1, 2, "good")


def test_a_key_counts_only_for_what_it_offers() -> None:
    keys = [("gemini", ["gemini-2.5-pro"]), ("anthropic", ["claude-opus-5-5"]), ("compatible", ["qwen3-32b"])]
    accounts: list[AccountStatus] = [
        AccountStatus(True, families_offered(kind, models), []) for kind, models in keys
    ]
    counted = status_of_families([AccountStatus(True, FAMILIES, [CLAUDE, GEMINI]), *accounts])
    assert [(one.name, one.available, one.accounts) for one in counted] == [
        ("Claude", 2, 2), ("Gemini", 2, 2), ("Other models", 1, 1)
    ]  # fmt: skip


def test_the_kind_decides_while_a_list_is_unknown() -> None:
    found = [families_offered(kind, None) for kind in ("google", "gemini", "anthropic", "compatible")]
    assert found == [FAMILIES, ("Gemini",), ("Claude",), ("Other models",)]
    assert families_offered("compatible", ["anthropic/Claude-4"]) == ("Claude",)


def test_a_family_that_no_account_offers_is_left_out() -> None:
    assert [one.name for one in status_of_families([AccountStatus(True, ("Gemini",), [])])] == ["Gemini"]


def test_an_empty_family_names_the_first_return() -> None:
    accounts = [
        AccountStatus(True, FAMILIES, [empty(CLAUDE, LATER), GEMINI]),
        AccountStatus(True, FAMILIES, [empty(CLAUDE, SOON), GEMINI]),
    ]
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
    claude, _ = status_of_families(
        [AccountStatus(True, FAMILIES, [empty(CLAUDE, SOON)]), AccountStatus(True, FAMILIES, [CLAUDE])]
    )
    assert (claude.available, claude.level, claude.back_at) == (1, "good", None)


def test_a_model_with_a_quota_of_its_own_keeps_its_family() -> None:
    pools = [empty(QuotaPool("gemini-3-pro", "cli"), SOON), QuotaPool("gemini-3-flash", "cli")]
    assert status_of_families([AccountStatus(True, FAMILIES, pools)])[1].available == 1


def test_a_key_at_its_limit_is_not_available_until_that_ends() -> None:
    key = AccountStatus(True, ("Other models",), [], {"Other models": SOON})

    assert status_of_families([key]) == [FamilyStatus("Other models", 0, 1, SOON)]
