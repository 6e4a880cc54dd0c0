"""How many tokens Google counts for each that we estimate, learnt for each model from its answers. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_MEMORY = 20
"""An answer counts for a twentieth at least, so that a new tokenizer is learnt within a day's work."""
WHOLE_ANSWER_TOKENS = 1_000
"""A shorter prompt counts for less: what stands around it weighs more than what it says."""
FURTHEST = 4.0
"""No tokenizer is off by more. What is has another reason, and must not spoil the rest."""
MOST_MODELS = 200


class Learnt(NamedTuple):
    """``answers`` is how many of them it rests on; a short one is part of one."""

    ratio: float = 1.0
    answers: float = 0.0


UNKNOWN = Learnt()


class TokenRatios:
    """By model id. `changed` is what the database does not have yet."""

    def __init__(self) -> None:
        self.changed: dict[str, Learnt] = {}
        self._learnt: dict[str, Learnt] = {}

    def of(self, model_id: str) -> float:
        return self._learnt.get(model_id, UNKNOWN).ratio

    def learn(self, model_id: str, raw_estimate: int, prompt_tokens: int) -> None:
        """A prompt that was estimated with the one, and counted by Google with the other."""
        if raw_estimate <= 0 or prompt_tokens <= 0:
            return
        known = self._learnt.get(model_id, UNKNOWN)
        if known is UNKNOWN and len(self._learnt) >= MOST_MODELS:
            return
        learnt = _with_one_more(known, raw_estimate, prompt_tokens)
        self._learnt[model_id] = self.changed[model_id] = learnt

    def load(self, stored: Mapping[str, Learnt]) -> None:
        """What was learnt before the start; what was learnt since is newer."""
        self._learnt = {**stored, **self._learnt}


def _with_one_more(known: Learnt, raw_estimate: int, prompt_tokens: int) -> Learnt:
    """The mean of the logarithms, over about the last twenty; twice and half as many are equally far off.

    The start at 1 counts as one answer, and once there are some, none moves it by more than a factor of two.
    """
    weight = min(1.0, raw_estimate / WHOLE_ANSWER_TOKENS)
    seen = _within(prompt_tokens / raw_estimate, FURTHEST)
    if known.answers >= 1:
        seen = known.ratio * _within(seen / known.ratio, 2.0)
    share = max(weight / (known.answers + 1 + weight), weight / LONGEST_MEMORY)
    ratio = math.exp((1 - share) * math.log(known.ratio) + share * math.log(seen))
    return Learnt(_within(ratio, FURTHEST), min(known.answers + weight, LONGEST_MEMORY))


def _within(ratio: float, factor: float) -> float:
    return min(max(ratio, 1 / factor), factor)
