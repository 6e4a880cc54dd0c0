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
LOGS_PAGE = PROJECT / "docs" / "logs.md"
FEWEST_LETTERS = 8
LEVELS = {"exception": "ERROR"}
BUILT_ELSEWHERE = {
    "… → ": "WARNING", "Heartbeat: ": "INFO", "200 end_turn; ": "INFO", "The database file ": "ERROR",
    "The PostgreSQL database ": "ERROR", "Not in the ledger: ": "ERROR", " was refused: ": "WARNING",
    "A login from ": "WARNING", " was asked for: ": "INFO",
}  # fmt: skip
"""Lines whose text the call does not name, with the level of the call: gateway/relay/context.py, recorder.py,
heartbeat.py, accounts/database/watch.py, and the callers of `log_unauthenticated`."""
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
def nodes() -> list[ast.AST]:
    """Calls and texts of the code."""
    files = [file for folder in CODE for file in (PROJECT / folder).rglob("*.py")]
    trees = [ast.parse(file.read_text()) for file in files if "emulator" not in file.parts]
    kinds = (ast.Call, ast.JoinedStr, ast.Constant)
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, kinds)]


@cache
def written_texts() -> list[list[str]]:
    """Every text in the code, as its own words between what is filled in."""
    texts = []
    for node in nodes():
        if isinstance(node, ast.JoinedStr):
            texts.append(_words(node))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(PLACEHOLDER.split(node.value))
    return [words for words in texts if sum(map(len, words)) >= ENOUGH_LETTERS]


@cache
def log_calls() -> list[tuple[str, list[str]]]:
    """Level and words of each call of a logger that names its text."""
    calls = []
    for node in nodes():
        match node:
            case ast.Call(ast.Attribute(ast.Name("logger"), level), [ast.Constant(str(text)), *_]):
                calls.append((LEVELS.get(level, level.upper()), PLACEHOLDER.split(text)))
    return calls


def levels_of(line: str) -> set[str]:
    """The levels at which the code logs the line."""
    if known := [level for words, level in BUILT_ELSEWHERE.items() if words in line]:
        return set(known)
    line = REQUEST_ID.sub("", line)
    found = set()
    for level, words in log_calls():
        pattern = ".*".join(map(re.escape, words))
        has_words = sum(map(len, words)) >= ENOUGH_LETTERS
        if has_words and (re.fullmatch(pattern, line) or _begins_with(words, line)):
            found.add(level)
    return found


def _begins_with(words: list[str], line: str) -> bool:
    """Whether the quoted line, which may break off, is a beginning of the text."""
    if words[0].startswith(line.rstrip(" …")):
        return True
    pattern = ".*".join(map(re.escape, words[:2])) + ".*"
    return sum(map(len, words[:2])) >= FEWEST_LETTERS and re.fullmatch(pattern, line) is not None


def quoted_levels() -> Iterator[tuple[str, str]]:
    """Line and level of the tables in docs/logs.md."""
    for row in re.findall(r"^\| `.*` \| [A-Z]+ \| .*$", LOGS_PAGE.read_text(), re.MULTILINE):
        lines, level, _ = row.removeprefix("| ").split(" | ", 2)
        yield from ((line, level) for line in re.findall(r"`([^`]+)`", lines))


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
        if words[0].startswith(beginning) or _may_fit(words, line)
    )


def _may_fit(words: list[str], line: str) -> bool:
    """Spares most texts the patterns."""
    return line.startswith(words[0]) and (bool(words[0]) or words[1] in line)


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


@pytest.mark.parametrize(("line", "level"), sorted(set(quoted_levels())))
def test_a_quoted_line_has_the_level_that_the_page_says(line: str, level: str) -> None:
    assert levels_of(line) == {level}


def test_the_page_has_each_error() -> None:
    quoted = [line for line, level in quoted_levels() if level == "ERROR"]
    errors = {"…".join(words) for level, words in log_calls() if level == "ERROR"}
    unnamed = {
        "Until then nothing is stored or changed.",
        "The demo could not send a request",
    }  # follows what the page quotes

    missing = [text for text in errors if not any(_quotes(line, text) for line in quoted)]

    assert [text for text in missing if text.lstrip("… ") not in unnamed] == []


def _quotes(line: str, text: str) -> bool:
    longest = max(text.split("…"), key=len).strip(" .,:;")
    return longest in line or line.rstrip(" …") in text
