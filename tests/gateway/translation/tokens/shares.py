"""Examples are only a proof of what they contain, so we count it."""

from __future__ import annotations

from collections import Counter

LEAST_SHARE = 0.15
# A hundred examples on a developer machine are too few to tell a share by.
ENOUGH_EXAMPLES = 1_000


class Shares:
    def __init__(self) -> None:
        self._examples = 0
        self._counts: Counter[str] = Counter()

    def count(self, **traits: bool) -> None:
        self._examples += 1
        self._counts.update({trait: int(is_there) for trait, is_there in traits.items()})

    def check(self) -> None:
        """Prints the share of examples with each trait (see ``pytest -s``); in CI at least LEAST_SHARE."""
        shares = {trait: count / self._examples for trait, count in self._counts.items()}
        listed = ", ".join(f"{trait} {share:.0%}" for trait, share in shares.items())
        print(f"\n{self._examples} examples: {listed}")  # noqa: T201
        assert self._examples < ENOUGH_EXAMPLES or all(share >= LEAST_SHARE for share in shares.values()), (
            shares
        )
