"""Detection of stop sequences in a text that arrives in pieces.

Google stops at five of them without naming the one it found, and leaves it out of the text. The others are
found here: the text before the sequence is sent, the sequence and everything after it is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class StopSequenceFinder:
    """Finds the first stop sequence in pieces of text given to ``feed``.

    A piece's end that may begin a sequence is held back until the next piece. ``found`` is the sequence
    found. Time grows with the text and the number of sequences, not with their length.
    """

    def __init__(self, sequences: Iterable[str]) -> None:
        self.found: str | None = None
        self._matchers = [_Matcher(sequence) for sequence in sequences if sequence]
        self.held = ""

    def feed(self, text: str) -> str:
        """Return the text that can be sent now, without what was sent before."""
        ends = [(end, matcher) for matcher in self._matchers if (end := matcher.feed(text))]
        text, before = self.held + text, len(self.held)
        if ends:
            # When two sequences end with the same character, the longer one started earlier.
            end, matcher = min(ends, key=lambda one: (one[0], -len(one[1].sequence)))
            self.found = matcher.sequence
            self.held = ""
            return text[: before + end - len(matcher.sequence)]
        longest = max((matcher.length for matcher in self._matchers), default=0)
        ready, self.held = text[: len(text) - longest], text[len(text) - longest :]
        return ready

    def flush(self) -> str:
        """Return the text held back, when no text follows it directly."""
        held, self.held = self.held, ""
        for matcher in self._matchers:
            matcher.length = 0
        return held


class _Matcher:
    """One sequence (Knuth, Morris and Pratt): the last ``length`` characters of the text begin it."""

    __slots__ = ("_fallback", "length", "sequence")

    def __init__(self, sequence: str) -> None:
        self.sequence = sequence
        self.length = 0
        self._fallback = [0] * len(sequence)  # length of the longest proper prefix that is also a suffix
        length = 0
        for index in range(1, len(sequence)):
            while length and sequence[index] != sequence[length]:
                length = self._fallback[length - 1]
            length += sequence[index] == sequence[length]
            self._fallback[index] = length

    def feed(self, text: str) -> int:
        """Return how many characters of ``text`` complete the sequence; 0 when it is not complete."""
        if not self.length and self.sequence[0] not in text:
            return 0
        for index, character in enumerate(text, 1):
            while self.length and character != self.sequence[self.length]:
                self.length = self._fallback[self.length - 1]
            self.length += character == self.sequence[self.length]
            if self.length == len(self.sequence):
                return index
        return 0
