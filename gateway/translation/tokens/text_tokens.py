"""Token estimates for texts, by their characters.

A tokenizer has common words whole and rare scripts byte by byte, so the rate per character depends on its
script and on the family of the model. The rates were fitted to the tokenizer that Anthropic has published and
to the vocabulary of Gemma and Gemini, over code, JSON and prose in fifty languages.
`benchmarks/token_estimate.py` measures the error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gateway.routing.upstream_model import Family

SLICES = 64
SLICE_CHARACTERS = 128
SAMPLE_CHARACTERS = SLICES * SLICE_CHARACTERS
"""The number of characters counted of a longer text, in slices from all over it."""

_LOWER = bytes(range(ord("a"), ord("z") + 1))
SIGNS_IN_LINE = 4
SAVED_IN_LINE = 0.8
"""The share of signs not counted in lines under headings and around tables, which take few tokens at any
length."""


class _Ascii(NamedTuple):
    """Tokens per character. Blanks cost nothing: they belong to the word that follows."""

    lower: float
    upper: float
    digit: float
    sign: float
    newline: float


class _Script(NamedTuple):
    """One script. ``blocks`` are the high bytes of its UTF-16 code units, without the second of a surrogate
    pair."""

    blocks: tuple[tuple[int, int], ...]
    claude: float
    others: float


ASCII_OF_CLAUDE = _Ascii(lower=0.26, upper=0.35, digit=0.90, sign=0.33, newline=1.20)
ASCII_OF_OTHERS = _Ascii(lower=0.24, upper=0.32, digit=1.40, sign=0.35, newline=1.30)
ACCENTED_OF_CLAUDE, ACCENTED_OF_OTHERS = 2.9, 1.3
"""Tokens for a letter of Latin-1, which splits a word that would be one token."""

SCRIPTS = {
    "Latin": _Script(((0x01, 0x03), (0x1E, 0x1F)), 2.75, 0.6),
    "Greek": _Script(((0x03, 0x04), (0x1F, 0x20)), 1.3, 0.45),
    "Cyrillic": _Script(((0x04, 0x05),), 0.60, 0.31),
    "Armenian and Hebrew": _Script(((0x05, 0x06),), 1.25, 0.56),
    "Arabic": _Script(((0x06, 0x09), (0xFB, 0xFF)), 1.2, 0.44),
    "of India": _Script(((0x09, 0x0E),), 1.6, 0.56),
    "Thai": _Script(((0x0E, 0x0F),), 1.83, 0.42),
    "punctuation and symbols": _Script(((0x20, 0x25), (0x26, 0x30)), 1.5, 0.8),
    "box drawing": _Script(((0x25, 0x26),), 0.72, 0.40),
    "kana": _Script(((0x30, 0x34),), 1.1, 0.45),
    "Han": _Script(((0x34, 0xA0),), 0.97, 0.69),
    "Hangul": _Script(((0x11, 0x12), (0xAC, 0xD8)), 1.4, 0.8),
    "outside the first plane": _Script(((0xD8, 0xDC),), 2.7, 1.7),
    "all others": _Script(((0x0F, 0x11), (0x12, 0x1E), (0xA0, 0xAC), (0xE0, 0xFB), (0xFF, 0x100)), 1.5, 0.9),
}


def text_tokens(text: str, family: Family) -> float:
    if len(text) <= SAMPLE_CHARACTERS:
        return _tokens(text, family)
    step = len(text) // SLICES
    sample = "".join([text[start : start + SLICE_CHARACTERS] for start in range(0, SLICES * step, step)])
    return _tokens(sample, family) * len(text) / SAMPLE_CHARACTERS


def _tokens(text: str, family: Family) -> float:
    rate = ASCII_OF_CLAUDE if family == "claude" else ASCII_OF_OTHERS
    if text.isascii():
        return _ascii_tokens(text.encode(), rate)
    ascii_text = text.encode("ascii", "ignore")
    return _ascii_tokens(ascii_text, rate) + _other_tokens(text, len(text) - len(ascii_text), family)


def _ascii_tokens(text: bytes, rate: _Ascii) -> float:
    """Count ASCII characters. Most are small letters: once they are removed little is left to count."""
    kinds = text.translate(_KINDS_OF_ASCII, _LOWER)
    saved = SAVED_IN_LINE * SIGNS_IN_LINE * (text.count(b"----") + text.count(b"===="))
    return (
        (len(text) - len(kinds)) * rate.lower
        + kinds.count(b"A") * rate.upper
        + kinds.count(b"0") * rate.digit
        + (kinds.count(b".") - saved) * rate.sign
        + kinds.count(b"\n") * rate.newline
    )


def _other_tokens(text: str, count: int, family: Family) -> float:
    """Count the others. ``count`` is the number of characters outside ASCII.

    The high byte of an ASCII character's UTF-16 code unit is 0; the second unit of a surrogate pair is not
    counted.
    """
    scripts = text.encode("utf-16-be", "surrogatepass")[::2].translate(_SCRIPT_NUMBERS, _NOT_COUNTED)
    tokens = (count - len(scripts)) * (ACCENTED_OF_CLAUDE if family == "claude" else ACCENTED_OF_OTHERS)
    for number, script in enumerate(SCRIPTS.values()):
        mark = bytes([number])
        if mark in scripts:
            tokens += scripts.count(mark) * (script.claude if family == "claude" else script.others)
    return tokens


def _kinds_of_ascii() -> bytes:
    def kind_of(character: str) -> str:
        if character.isupper():
            return "A"
        if character.isdigit():
            return "0"
        return character if character.isspace() or character.islower() else "."

    return bytes(ord(kind_of(chr(code))) if code < 128 else code for code in range(256))


def _script_numbers() -> bytes:
    table = bytearray(256)
    for number, script in enumerate(SCRIPTS.values()):
        for first, end in script.blocks:
            table[first:end] = bytes([number]) * (end - first)
    return bytes(table)


_KINDS_OF_ASCII = _kinds_of_ascii()
_SCRIPT_NUMBERS = _script_numbers()
_NOT_COUNTED = bytes([0, *range(0xDC, 0xE0)])
