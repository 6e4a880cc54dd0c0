"""The ratio of Google's token counts to our estimates, learned for each model from its answers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_MEMORY = 20
"""How many answers are remembered: each weighs at least a twentieth, so that the ratio follows a new
tokenizer within a day's work."""
WHOLE_ANSWER_TOKENS = 1_000
"""The tokens of a prompt that counts fully. A shorter one weighs less, because the text that the gateway and
Google add to it distorts its ratio."""
FURTHEST = 4.0
"""The limit of a ratio. No tokenizer differs by more; a larger ratio has another cause and must not distort
the mean."""
MOST_MODELS = 200


class Learnt(Struct, frozen=True):
    """A learned ratio. ``answers`` is the number it is based on; one to a short prompt counts as a
    fraction."""

    ratio: float = 1.0
    answers: float = 0.0


UNKNOWN = Learnt()


class TokenRatios:
    """Ratios by model id. `changed` are those not yet stored in the database."""

    def __init__(self) -> None:
        self.changed: dict[str, Learnt] = {}
        self._learnt: dict[str, Learnt] = {}

    def of(self, model_id: str) -> float:
        return self._learnt.get(model_id, UNKNOWN).ratio

    def learn(self, model_id: str, raw_estimate: int, prompt_tokens: int) -> None:
        """Update the ratio with a prompt's raw estimate and Google's count of its tokens."""
        if raw_estimate <= 0 or prompt_tokens <= 0:
            return
        known = self._learnt.get(model_id, UNKNOWN)
        if known is UNKNOWN and len(self._learnt) >= MOST_MODELS:
            return
        learnt = _with_one_more(known, raw_estimate, prompt_tokens)
        self._learnt[model_id] = self.changed[model_id] = learnt

    def load(self, stored: Mapping[str, Learnt]) -> None:
        """Add ratios from the database, without those learned since the start, which are newer."""
        self._learnt = {**stored, **self._learnt}


def _with_one_more(known: Learnt, raw_estimate: int, prompt_tokens: int) -> Learnt:
    """Return the geometric mean over about the last twenty answers, in which twice and half as many are
    equally far off.

    The initial ratio of 1 counts as one answer. After the first answer, none changes the ratio by more than a
    factor of two.
    """
    weight = raw_estimate / WHOLE_ANSWER_TOKENS if raw_estimate < WHOLE_ANSWER_TOKENS else 1.0
    seen = _within(prompt_tokens / raw_estimate, FURTHEST)
    if known.answers >= 1:
        seen = known.ratio * _within(seen / known.ratio, 2.0)
    answers = known.answers + weight
    if answers > LONGEST_MEMORY - 1:  # the initial ratio counts, too
        share, answers = weight / LONGEST_MEMORY, min(answers, LONGEST_MEMORY)
    else:
        share = weight / (answers + 1)
    ratio = known.ratio * (seen / known.ratio) ** share
    return Learnt(_within(ratio, FURTHEST), answers)


def _within(ratio: float, factor: float) -> float:
    if ratio > factor:
        return factor
    return ratio if ratio * factor > 1 else 1 / factor
