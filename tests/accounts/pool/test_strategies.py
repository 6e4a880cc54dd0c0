from __future__ import annotations

import pytest

from accounts.pool.strategies import BUCKET_SIZE, AccountScore, Candidate, choose, has_reserve, score

NOW = 1_772_366_400.0


def chosen(
    strategy: str, candidates: list[Candidate], *, affinity: int | None = None, previous: int | None = None
) -> int:
    return choose(strategy, candidates, affinity, previous, NOW).id


ALL = pytest.mark.parametrize("strategy", ["sticky", "round-robin", "hybrid"])


@ALL
def test_a_conversation_keeps_its_account(strategy: str) -> None:
    candidates = [Candidate(1, last_used_at=NOW), Candidate(2, last_used_at=NOW, health=10, tokens=0)]

    assert chosen(strategy, candidates, affinity=2, previous=1) == 2


@ALL
def test_the_operators_order_comes_first(strategy: str) -> None:
    candidates = [Candidate(1, priority=5), Candidate(2, priority=1, health=0, tokens=0)]

    assert chosen(strategy, candidates, affinity=1) == 2


@ALL
def test_a_conversation_does_not_hold_on_to_a_paid_account(strategy: str) -> None:
    candidates = [Candidate(1, cost_rank=1, last_used_at=NOW), Candidate(2, health=0, tokens=0)]

    assert chosen(strategy, candidates, affinity=1, previous=1) == 2
    assert chosen(strategy, [*candidates, Candidate(3, last_used_at=NOW)], affinity=2, previous=3) == 2


@ALL
def test_the_operators_order_counts_before_the_cost(strategy: str) -> None:
    candidates = [Candidate(1, priority=1), Candidate(2, priority=0, cost_rank=1)]

    assert chosen(strategy, candidates, affinity=1, previous=1) == 2


@ALL
def test_an_account_at_its_threshold_is_spared_while_another_is_above_its_own(strategy: str) -> None:
    low = Candidate(1, priority=0, remaining=0.1, remaining_seen_at=NOW, threshold=0.2)

    assert chosen(strategy, [low, Candidate(2, priority=9)], affinity=1, previous=1) == 2
    assert chosen(strategy, [low], affinity=None) == 1


@ALL
def test_an_account_with_a_nearly_empty_quota_is_kept_in_reserve(strategy: str) -> None:
    nearly_empty = Candidate(1, empty_at=NOW + 30)

    assert chosen(strategy, [nearly_empty, Candidate(2)], affinity=1, previous=1) == 2


@ALL
def test_the_worst_account_is_taken_when_it_is_the_only_one(strategy: str) -> None:
    worst = Candidate(1, health=0, tokens=0, remaining=0, remaining_seen_at=NOW, threshold=0.9, empty_at=NOW)

    assert chosen(strategy, [worst]) == 1


def test_a_stale_reading_does_not_count_against_an_account() -> None:
    stale = Candidate(1, remaining=0.1, remaining_seen_at=NOW - 301, threshold=0.2)

    assert has_reserve(stale, NOW)


def test_sticky_stays_with_the_last_account() -> None:
    candidates = [Candidate(1), Candidate(2), Candidate(3)]

    assert chosen("sticky", candidates, previous=2) == 2
    assert chosen("sticky", candidates, previous=9) == 1


def test_round_robin_takes_the_next_and_begins_again() -> None:
    candidates = [Candidate(3), Candidate(1), Candidate(2)]

    assert [chosen("round-robin", candidates, previous=p) for p in (None, 1, 2, 3)] == [1, 2, 3, 1]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (Candidate(1, health=90), Candidate(2, health=40)),
        (Candidate(1, tokens=40), Candidate(2, tokens=10)),
        (
            Candidate(1, remaining=0.9, remaining_seen_at=NOW),
            Candidate(2, remaining=0.2, remaining_seen_at=NOW),
        ),
        (Candidate(1, last_used_at=NOW - 3000), Candidate(2, last_used_at=NOW - 10)),
    ],
)
def test_hybrid_prefers_health_tokens_quota_and_idle_time(better: Candidate, worse: Candidate) -> None:
    assert chosen("hybrid", [worse, better]) == better.id


@pytest.mark.parametrize(
    ("candidate", "points"),
    [
        (Candidate(1), 70 * 2 + 100 * 5 + 50 * 3 + 360),
        (Candidate(1, remaining=0.5, remaining_seen_at=NOW, last_used_at=NOW), 140 + 500 + 150),
        (Candidate(1, remaining=1.0, remaining_seen_at=0, last_used_at=NOW), 140 + 500 + 270),
        (Candidate(1, health=0, tokens=0, remaining=0, remaining_seen_at=NOW, last_used_at=NOW + 99), 0),
    ],
)
def test_the_score_adds_up(candidate: Candidate, points: float) -> None:
    assert score(candidate, NOW) == pytest.approx(points)


def test_health_and_tokens_recover_with_time() -> None:
    worn = AccountScore(health=20, tokens=0, at=NOW)

    assert worn.advanced(NOW + 3600).health == pytest.approx(30)
    assert worn.advanced(NOW + 60).tokens == pytest.approx(6)
    assert worn.advanced(NOW + 10**9) == AccountScore(100, BUCKET_SIZE, NOW + 10**9)


def test_a_clock_set_back_changes_no_score() -> None:
    worn = AccountScore(health=20, tokens=5, at=NOW)

    assert worn.advanced(NOW - 3600) == AccountScore(20, 5, NOW - 3600)


def test_health_and_bucket_stay_within_their_bounds() -> None:
    assert AccountScore(at=NOW).changed(NOW, health=-500, tokens=-500) == AccountScore(0, 0, NOW)
    assert AccountScore(at=NOW).changed(NOW, health=500, tokens=500) == AccountScore(100, BUCKET_SIZE, NOW)
