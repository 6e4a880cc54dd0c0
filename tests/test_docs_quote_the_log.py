"""Lines of the log that the docs quote are lines that the code writes."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest

from gateway.relay import error_messages
from tests.live_gateway import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

CODE = ("accounts", "gateway", "proxy_site", "dashboard")
PLACEHOLDER = re.compile(r"%[sd]|%\.\d+f|%\(\w+\)s")
ENOUGH_LETTERS = 11
"""So much of a text must be its own words, or it would be any line."""
STAMP = re.compile(r"[\d-]{10} [\d:.]{12} [A-Z]+ (?:DEBUG|INFO|WARNING|ERROR) +")
REQUEST_ID = re.compile(r"(?:req_[\w…]+|my-req-\d+): ")
DECISIONS = {
    value for name, value in vars(error_messages).items() if name.isupper() and isinstance(value, str)
}


def quoted_lines() -> Iterator[str]:
    """Of the tables headed `the log says`, and of blocks with whole lines."""
    for page in sorted((PROJECT / "docs").glob("*.md")):
        text = page.read_text()
        for table in re.findall(r"^\| the log says \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE):
            for row in table.splitlines():
                yield from re.findall(r"`([^`]+)`", row.split(" | ")[0])
        yield from (line for line in text.splitlines() if STAMP.match(line))


@cache
def written_texts() -> list[list[str]]:
    """Every text in the code, as its own words between what is filled in."""
    texts = []
    for folder in CODE:
        for file in (PROJECT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.JoinedStr):
                    texts.append(_words(node))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(PLACEHOLDER.split(node.value))
    return [words for words in texts if sum(map(len, words)) >= ENOUGH_LETTERS]


def _words(text: ast.JoinedStr) -> list[str]:
    words = [""]
    for part in text.values:
        if isinstance(part, ast.Constant):
            words[-1] += str(part.value)
        else:
            words.append("")
    return words


def is_written(line: str) -> bool:
    """A line that ends with … may break off within the first words, or after any of the others."""
    line = REQUEST_ID.sub("", STAMP.sub("", line))
    if (decision := line.rpartition("… → ")[2]) in DECISIONS:
        return line == f"… → {decision}"
    may_break_off = line.endswith("…")
    beginning = line.rstrip(" …")
    return any(
        (may_break_off and len(beginning) >= ENOUGH_LETTERS and words[0].startswith(beginning))
        or any(re.fullmatch(pattern, line) for pattern in _patterns(words, may_break_off=may_break_off))
        for words in written_texts()
    )


def _patterns(words: list[str], *, may_break_off: bool) -> Iterator[str]:
    escaped = [re.escape(word) for word in words]
    yield ".*".join(escaped)
    if may_break_off:
        lengths = accumulate(map(len, words))
        for count, length in enumerate(lengths, 1):
            if length >= ENOUGH_LETTERS:
                yield ".*".join(escaped[:count]) + ".*"


@pytest.mark.parametrize("line", sorted(set(quoted_lines())))
def test_a_line_that_the_docs_quote_is_written_by_the_code(line: str) -> None:
    assert is_written(line)


@pytest.mark.parametrize("line", ["… → nothing", "Heartburn: 3 requests …", "req_…: the moon is full"])
def test_a_line_that_no_code_writes_is_detected(line: str) -> None:
    assert not is_written(line)


def test_there_are_such_lines() -> None:
    assert len(set(quoted_lines())) > 20
