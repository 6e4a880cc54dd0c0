"""The clock, the tokenizer, the signatures and the cutting of replies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_site.emulator.clock import Clock, as_go_duration, as_timestamp
from proxy_site.emulator.models import MODELS
from proxy_site.emulator.pretend_model.replies import Usage, chunks_of, merged, signed, text, thinking
from proxy_site.emulator.pretend_model.signatures import Signatures
from proxy_site.emulator.pretend_model.tokenizer import TOKENIZERS, Tokenizer, count_text
from tests.proxy_site.emulator.builders import PIXEL, a_claude_request, image, response

if TYPE_CHECKING:
    from proxy_site.emulator.models import Family


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (7384.179915352, "2h3m4.179915352s"),
        (91_226, "25h20m26s"),
        (39, "39s"),
        (60, "1m0s"),
        (0.754431528, "754.431528ms"),
        (0, "0ms"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds: float, written: str) -> None:
    assert as_go_duration(seconds) == written


def test_a_clock_runs_or_stands_still_and_can_be_moved() -> None:
    frozen = Clock(frozen_at=1_000)
    frozen.advance(60)

    assert frozen.now() == 1_060
    assert as_timestamp(frozen.now()) == "1970-01-01T00:17:40Z"
    assert Clock().now() > 1_700_000_000


@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        ("", 0),
        ("Hello", 1),
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("internationalization", 4),
        ("x = [1, 2, 3]", 9),
        ("1234567", 3),
        ("世界", 2),
        ("Привет, мир", 6),
        ("┌──────┐", 3),
        ("  \n", 0),
    ],
)
def test_tokens_are_counted_by_words_and_signs(words: str, tokens: int) -> None:
    assert count_text(words) == tokens


def test_english_and_code_have_about_four_characters_a_token() -> None:
    english = "It was a bright cold day in April, and the clocks were striking thirteen. " * 20
    code = "def area(radius: float) -> float:\n    return math.pi * radius ** 2\n" * 20

    assert 3.5 < len(english) / count_text(english) < 5.5
    assert 2.5 < len(code) / count_text(code) < 4.5


def test_an_image_costs_by_its_size() -> None:
    large = "iVBORw0KGgoAAAANSUhEUgAABAAAAAQA" + PIXEL[32:]

    def cost(data: str, family: Family = "claude") -> int:
        return TOKENIZERS[family].count_part({"inlineData": {"mimeType": "image/png", "data": data}})

    assert cost(large) == round(1024 * 1024 / 750)
    assert cost("AAAA") == 1_600
    assert cost(large, "gemini") == cost("AAAA", "gemini") == 1_120


def test_an_image_in_a_result_costs_the_same() -> None:
    count_part = TOKENIZERS["gemini"].count_part

    assert count_part(response(parts=[image()])) == count_part(response()) + 1_120


def test_a_family_may_have_a_tokenizer_and_a_factor_of_its_own() -> None:
    doubled = Tokenizer("claude", count_text=len, factor=2.0)

    assert doubled.count_part({"text": "four"}) == 8


def test_signatures_cost_nothing() -> None:
    request = a_claude_request()["request"]
    count_prompt = TOKENIZERS["claude"].count_prompt
    before = count_prompt(request)
    del request["contents"][1]["parts"][0]["thoughtSignature"]

    assert count_prompt(request) == before


def test_a_signature_survives_a_restart_with_the_same_secret() -> None:
    signature = Signatures("one").issue("claude", "I think.")

    assert Signatures("one").is_genuine_for("claude", "I think.", signature)
    assert not Signatures("two").is_genuine_for("claude", "I think.", signature)


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64!", "skip_thought_signature_validator", "é"])
def test_what_was_never_issued_is_not_genuine(signature: str) -> None:
    assert not Signatures().is_genuine("claude", signature)


@given(st.text(), st.text())
def test_a_signature_belongs_to_one_text_and_one_family(one: str, other: str) -> None:
    signatures = Signatures()
    signature = signatures.issue("claude", one)

    assert signatures.is_genuine_for("claude", one, signature)
    assert signatures.is_genuine_for("claude", other, signature) == (one == other)
    assert not signatures.is_genuine("gemini", signature)
    assert len(signature) >= 50


@given(st.text(min_size=1), st.one_of(st.none(), st.integers(1, 50)))
def test_chunks_joined_are_the_text_again(words: str, chunk_count: int | None) -> None:
    model = MODELS["claude-sonnet-4-6"]
    parts = signed([thinking(words), text(words)], "claude", Signatures())

    chunks = chunks_of(
        parts, model=model, usage=Usage(1, 0, 1, 1), finish_reason="STOP", chunk_count=chunk_count
    )

    whole = merged(chunks)["response"]["candidates"][0]["content"]["parts"]
    assert [part["text"] for part in whole] == [words, words]
    assert "thoughtSignature" in whole[0]
