from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from gateway.telemetry import log_format
from gateway.telemetry.activity import Activity
from gateway.telemetry.log_ring import LONGEST_LINE, MOST_LINES, LogRing
from gateway.telemetry.noise import libraries
from gateway.telemetry.request_ids import current_request_id

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("gateway.tests")


@pytest.fixture
def ring() -> Iterator[LogRing]:
    ring = LogRing(Activity())
    ring.start()
    logger.setLevel(logging.DEBUG)
    yield ring
    logger.setLevel(logging.NOTSET)
    ring.stop()


def test_the_newest_lines_are_kept_unwatched(ring: LogRing) -> None:
    for number in range(MOST_LINES + 5):
        logger.info("line %d", number)

    lines = ring.lines()
    assert len(lines) == MOST_LINES
    assert [lines[0].text, lines[-1].text] == ["line 5", f"line {MOST_LINES + 4}"]
    assert [lines[0].number, lines[-1].number] == [6, MOST_LINES + 5]


def test_a_line_has_its_level_and_request(ring: LogRing) -> None:
    token = current_request_id.set("req_1")
    logger.debug("careful")
    current_request_id.reset(token)
    logger.error("without a request")

    [one, other] = ring.lines()
    assert (one.level, one.request_id, one.text) == ("debug", "req_1", "careful")
    assert (other.level, other.request_id) == ("error", "")


def test_a_line_is_redacted_and_escaped(ring: LogRing) -> None:
    logger.warning("token ya29.a-secret-one\x1b[2J and\nmore")

    [line] = ring.lines()
    assert line.text == "token [hidden]\\x1b[2J and\\x0amore"


def test_a_traceback_follows_without_the_prompt(ring: LogRing) -> None:
    token = current_request_id.set("req_1")
    prompt = " ".join(["a", "word", "of", "the", "prompt"])
    try:
        int(prompt)
    except ValueError:
        logger.exception("failed")
    current_request_id.reset(token)

    [line] = ring.lines()
    assert line.text.startswith("failed\n")
    assert "ValueError" in line.text
    assert prompt not in line.text


def test_an_endless_line_is_cut(ring: LogRing) -> None:
    logger.info("x" * 1_000_000)

    assert [len(line.text) for line in ring.lines()] == [LONGEST_LINE]


def test_the_safe_text_is_made_once(ring: LogRing, monkeypatch: pytest.MonkeyPatch) -> None:
    redacted = Mock(wraps=log_format.redacted)
    monkeypatch.setattr(log_format, "redacted", redacted)
    other = logging.StreamHandler()
    other.setFormatter(log_format.TextFormatter(is_coloured=False))
    logger.addHandler(other)
    logger.info("shown twice")
    logger.removeHandler(other)

    redacted.assert_called_once_with("shown twice")


def test_a_library_that_repeats_itself_has_one_line(ring: LogRing) -> None:
    libraries.forget()
    other = LogRing(Activity())
    other.start()
    for number in range(5):
        logging.getLogger("a.library").warning("again %d", number)
    other.stop()

    assert [line.text for line in ring.lines()] == [line.text for line in other.lines()] == ["again 0"]
