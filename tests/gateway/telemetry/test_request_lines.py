from __future__ import annotations

import asyncio
import io
import logging
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.values.sanitize import escape_controls
from gateway.ledger import recorder
from gateway.ledger.recorder import facts, summary
from gateway.telemetry.activity import Activity
from gateway.telemetry.log_format import JsonFormatter, RequestIdFilter, TextFormatter, redacted
from gateway.telemetry.log_ring import LogRing
from gateway.telemetry.request_ids import current_request_id
from gateway.telemetry.request_lines import WRITE_SECONDS, StandardError, StandardOutput, log_request
from tests.gateway.ledger.builders import a_record, an_attempt

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGGER = logging.getLogger("gateway.tests")
SECRET = "ya29.a-token-of-google"
SIGNS = st.sampled_from([SECRET, "bearer ", "code=", "\x1b[31m", "\n", "\u202e", "sk-", "sonnet", "basic"])
NAMES = st.lists(st.one_of(st.text(max_size=5), SIGNS), max_size=4).map("".join)


class Log:
    """The handlers of the root logger as settings declare them, with strings in place of the streams."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.out, self.err = StandardOutput(), StandardError()
        self.ring = LogRing(Activity())
        self.shown = io.StringIO()
        for handler in (self.out, self.err):
            handler.setStream(self.shown)
            handler.setFormatter(formatter)
            handler.addFilter(RequestIdFilter())
        self.err.setLevel(logging.WARNING)
        self.out.addFilter(lambda record: record.levelno < logging.WARNING)

    def take_over(self) -> None:
        """Be all there is: pytest has handlers of its own while a test runs."""
        logging.root.handlers = [self.out, self.err, self.ring]

    @property
    def lines(self) -> list[str]:
        return self.shown.getvalue().splitlines()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    monkeypatch.setattr(logging.root, "handlers", logging.root.handlers)
    log = Log(TextFormatter(is_coloured=False))
    LOGGER.setLevel(logging.INFO)
    yield log
    LOGGER.setLevel(logging.NOTSET)


def raw_summary(monkeypatch: pytest.MonkeyPatch, record: Any) -> str:
    """The line before anything was redacted."""
    with monkeypatch.context() as patch:
        patch.setattr(recorder, "safe", str)
        return summary(record)


@settings(max_examples=300)
@given(model=NAMES, upstream=NAMES, account=NAMES, reason=NAMES, request_id=st.sampled_from(["", "req_1"]))
def test_a_line_is_what_logging_would_write(
    model: str, upstream: str, account: str, reason: str, request_id: str
) -> None:
    attempts = [an_attempt(account_name=account, model_id=upstream)]
    record = a_record(client_model=model, attempts=attempts, stop_reason=reason)
    with pytest.MonkeyPatch.context() as patch:
        raw = raw_summary(patch, record)
    current_request_id.set(request_id)

    for formatter in (TextFormatter(is_coloured=True), JsonFormatter()):
        fast, general = Log(formatter), Log(formatter)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(logging.root, "handlers", [fast.out, fast.err, fast.ring])
            patch.setattr("time.time", lambda: 1_800_000_000.5)
            log_request(LOGGER, summary(record), lambda: facts(record))
            general_record = logging.makeLogRecord(
                {"msg": raw, "name": LOGGER.name, "levelno": logging.INFO, "levelname": "INFO"}
                | {"created": 1_800_000_000.5, "request": facts(record)}
            )
        for handler in (general.out, general.err, general.ring):
            if general_record.levelno >= handler.level:
                handler.handle(general_record)

        assert fast.shown.getvalue() == general.shown.getvalue()
        assert fast.ring.lines() == general.ring.lines()
        assert SECRET not in fast.shown.getvalue()


async def test_lines_that_come_soon_after_another_are_written_together(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.take_over()
    flushed: list[int] = []
    monkeypatch.setattr(log.shown, "flush", lambda: flushed.append(len(log.lines)))

    for number in range(3):
        log_request(LOGGER, f"request {number}", dict)
        await asyncio.sleep(0)
    before = log.lines
    await asyncio.sleep(2 * WRITE_SECONDS)
    log_request(LOGGER, "later", dict)
    await asyncio.sleep(2 * WRITE_SECONDS)

    assert before == []
    assert flushed == [3, 4]


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
async def test_other_lines_keep_their_place(log: Log, level: int) -> None:
    log.take_over()
    log_request(LOGGER, "first", dict)
    LOGGER.log(level, "second")
    log_request(LOGGER, "third", dict)
    await asyncio.sleep(2 * WRITE_SECONDS)

    assert [line.rpartition(" ")[2] for line in log.lines] == ["first", "second", "third"]
    assert [line.text for line in log.ring.lines()] == ["first", "second", "third"]


async def test_what_waits_is_written_at_the_end(log: Log) -> None:
    log.take_over()
    log_request(LOGGER, "the last one", dict)

    log.out.flush()  # by logging.shutdown

    assert log.lines[-1].endswith("the last one")


def test_a_line_outside_of_the_event_loop_is_written_at_once(log: Log) -> None:
    log.take_over()
    log_request(LOGGER, "by a command", dict)

    assert log.lines[-1].endswith("by a command")


def test_a_line_that_cannot_be_encoded_leaves_the_others(monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    log.take_over()
    monkeypatch.setattr(logging, "raiseExceptions", False)
    raw = io.BytesIO()
    log.out.setStream(io.TextIOWrapper(raw, encoding="ascii"))

    for text in ("one", "zwei → drei", "four"):
        log_request(LOGGER, text, dict)

    assert [line.rpartition(b" ")[2] for line in raw.getvalue().splitlines()] == [b"one", b"four"]


def test_another_handler_gets_a_record(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    log.take_over()
    logging.root.addHandler(caplog.handler)

    log_request(LOGGER, "for all", lambda: {"id": 7})

    assert caplog.records[-1].request == {"id": 7}  # type: ignore[attr-defined]
    assert log.lines[-1].endswith("for all")


def test_json_has_the_requests_facts(log: Log) -> None:
    log.take_over()
    log.out.setFormatter(JsonFormatter())

    log_request(LOGGER, "ended", lambda: {"id": 7, "client_model": SECRET})

    assert orjson.loads(log.lines[-1])["request"] == {"id": 7, "client_model": "[hidden]"}


def test_escaping_twice_changes_nothing() -> None:
    once = escape_controls(redacted(f"\x1b {SECRET}"))

    assert escape_controls(redacted(once)) == once
