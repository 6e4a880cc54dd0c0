from __future__ import annotations

import sys

import pytest

from accounts.values.sanitize import UNSAFE, escape_controls, escape_controls_but_line_ends, truncate

NEUTRALISED = {
    "nothing": ("", ""),
    "plain words": ("Hello, world", "Hello, world"),
    "other alphabets and an emoji": ("Grüße → 日本 שלום 😀", "Grüße → 日本 שלום 😀"),
    "a backslash stays one": ("C:\\temp", "C:\\temp"),
    "a line feed": ("a\nb", "a\\x0ab"),
    "carriage return and tab": ("a\r\tb", "a\\x0d\\x09b"),
    "NUL": ("a\0b", "a\\x00b"),
    "an escape sequence of a terminal": ("\x1b[31mred", "\\x1b[31mred"),
    "backspace and delete": ("\x08\x7f", "\\x08\\x7f"),
    "C1: the one-byte CSI, next line": ("\x9b2J\x85", "\\x9b2J\\x85"),
    "the first and the last of C1": ("\x80\x9f\xa0", "\\x80\\x9f\xa0"),
    "Unicode's own line ends": ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
    "marks of direction": ("\u200e\u200f", "\\u200e\\u200f"),
    "embedded direction": ("\u202a\u202b\u202c", "\\u202a\\u202b\\u202c"),
    "overridden direction": ("\u202d\u202e", "\\u202d\\u202e"),
    "isolated direction": ("\u2066\u2067\u2068\u2069", "\\u2066\\u2067\\u2068\\u2069"),
    "halves of an emoji": ("\ud83d \udfff \ud800", "\\ud83d \\udfff \\ud800"),
}  # fmt: skip


@pytest.mark.parametrize("name", NEUTRALISED)
def test_control_characters_are_escaped(name: str) -> None:
    text, shown = NEUTRALISED[name]

    assert escape_controls(text) == shown


@pytest.mark.parametrize("name", NEUTRALISED)
def test_other_characters_are_unchanged(name: str) -> None:
    shown = escape_controls(NEUTRALISED[name][0])

    assert escape_controls(shown) == shown
    assert shown.encode().decode() == shown
    assert len(shown.splitlines()) <= 1


LINES = {
    "plain words": ("Hello, world", "Hello, world"),
    "lines and tabs": ("a\n\tb\n", "a\n\tb\n"),
    "lines of another system": ("a\r\nb\rc", "a\nb\\x0dc"),
    "an escape sequence in a line": ("a\n\x1b[31mred\n", "a\n\\x1b[31mred\n"),
    "halves and marks of direction": ("\ud83d\n\u202e", "\\ud83d\n\\u202e"),
    "line ends of Unicode": ("a\u2028b\x85c", "a\\u2028b\\x85c"),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_a_text_of_several_lines_keeps_them(name: str) -> None:
    text, shown = LINES[name]

    assert escape_controls_but_line_ends(text) == shown


FITTING = {
    "it fits": ("Hello", 10, "Hello"),
    "it fits exactly": ("Hello", 5, "Hello"),
    "it is cut": ("Hello", 4, "Hell"),
    "nothing fits": ("Hello", 0, ""),
    "an emoji counts once": ("😀😀😀", 2, "😀😀"),
    "an escape takes its room": ("a\nbc", 5, "a\\x0a"),
    "an escape is cut": ("\n\n", 5, "\\x0a\\"),
    "half an emoji": ("a\ud83d", 20, "a\\ud83d"),
}


@pytest.mark.parametrize("name", FITTING)
def test_truncated_text_fits_its_column(name: str) -> None:
    text, length, fits = FITTING[name]

    assert truncate(text, length) == fits


def test_what_can_be_printed_needs_no_look_at_its_characters() -> None:
    printable = "".join(filter(str.isprintable, map(chr, range(sys.maxunicode + 1))))

    assert UNSAFE.search(printable) is None
