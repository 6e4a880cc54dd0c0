"""What a model's tokens are to our estimates, as far as its answers have told."""

from __future__ import annotations

import pytest
from django.db import DatabaseError

from gateway.models import TokenRatio, read_token_ratios, store_token_ratios
from gateway.routing.token_ratios import MOST_MODELS, TokenRatios


def after(*answers: tuple[int, int]) -> float:
    """Each is an estimate and Google's count."""
    ratios = TokenRatios()
    for estimate, counted in answers:
        ratios.learn("m", estimate, counted)
    return ratios.of("m")


def test_a_model_that_has_answered_nothing_is_taken_as_estimated() -> None:
    assert TokenRatios().of("m") == 1.0


@pytest.mark.parametrize("true_ratio", [0.5, 0.8, 1.0, 1.3, 2.0])
def test_twenty_answers_are_enough(true_ratio: float) -> None:
    assert after(*[(10_000, round(10_000 * true_ratio))] * 20) == pytest.approx(true_ratio, rel=0.04)


def test_the_first_answer_is_believed_half() -> None:
    assert after((10_000, 14_400)) == pytest.approx(1.2)


def test_one_odd_answer_moves_it_little() -> None:
    assert after(*[(10_000, 12_000)] * 20, (10_000, 900_000)) == pytest.approx(1.2, rel=0.05)
    assert after(*[(10_000, 12_000)] * 20, (10_000, 1)) == pytest.approx(1.2, rel=0.05)


def test_a_new_tokenizer_is_learnt_in_time() -> None:
    assert after(*[(10_000, 10_000)] * 100, *[(10_000, 15_000)] * 60) == pytest.approx(1.5, rel=0.03)


def test_short_prompts_weigh_less_than_long_ones() -> None:
    assert after(*[(10_000, 10_000), (50, 200)] * 10) == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize(("estimate", "counted"), [(0, 100), (100, 0), (-1, 5)])
def test_what_was_not_counted_teaches_nothing(estimate: int, counted: int) -> None:
    ratios = TokenRatios()
    ratios.learn("m", estimate, counted)

    assert not ratios.changed


def test_no_count_makes_the_ratio_absurd() -> None:
    assert after(*[(1_000, 2**40)] * 50) <= 4.0
    assert after(*[(2**40, 1)] * 50) >= 0.25


def test_no_more_models_are_kept_than_there_can_be() -> None:
    ratios = TokenRatios()
    for number in range(MOST_MODELS + 50):
        ratios.learn(f"model-{number}", 1_000, 2_000)

    assert len(ratios.changed) == MOST_MODELS
    assert ratios.of(f"model-{MOST_MODELS + 1}") == 1.0


# --- in the database ---


@pytest.mark.django_db
def test_it_is_read_back_after_a_restart() -> None:
    ratios, later = TokenRatios(), TokenRatios()
    ratios.learn("m", 10_000, 14_400)
    store_token_ratios(ratios)
    ratios.learn("m", 10_000, 14_400)
    store_token_ratios(ratios)
    store_token_ratios(ratios)

    later.load(read_token_ratios())

    assert later.of("m") == pytest.approx(ratios.of("m"))
    assert TokenRatio.objects.get().answers == 2


@pytest.mark.django_db
def test_what_was_learnt_before_the_table_was_read_is_newer() -> None:
    TokenRatio.objects.create(model="m", ratio=3.0, answers=20, changed_at="2026-11-25T00:00:00Z")
    ratios = TokenRatios()
    ratios.learn("m", 10_000, 10_000)

    ratios.load(read_token_ratios())

    assert ratios.of("m") == 1.0


def test_a_database_that_takes_nothing_gets_it_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise DatabaseError("locked")

    monkeypatch.setattr(TokenRatio.objects, "bulk_create", refuse)
    ratios = TokenRatios()
    ratios.learn("m", 10_000, 14_400)

    with pytest.raises(DatabaseError):
        store_token_ratios(ratios)

    assert set(ratios.changed) == {"m"}
