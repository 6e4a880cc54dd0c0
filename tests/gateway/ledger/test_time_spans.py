from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.ledger.time_arguments import NotATime, parse_seconds, parse_time

NOW = datetime(2026, 11, 24, 10, 15, 30, 500, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("0s", NOW),
        ("45s", NOW - timedelta(seconds=45)),
        ("90m", NOW - timedelta(minutes=90)),
        ("36h", NOW - timedelta(hours=36)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(days=14)),
        (" 7d\n", NOW - timedelta(days=7)),
        ("007d", NOW - timedelta(days=7)),
        ("999999w", datetime(1970, 1, 1, tzinfo=UTC)),
        ("today", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-23T13:45", datetime(2026, 11, 23, 13, 45, tzinfo=UTC)),
        ("2026-11-23 13:45:06", datetime(2026, 11, 23, 13, 45, 6, tzinfo=UTC)),
        ("2026-11-23T13:45Z", datetime(2026, 11, 23, 13, 45, tzinfo=UTC)),
        ("2026-11-23T13:45+02:00", datetime(2026, 11, 23, 11, 45, tzinfo=UTC)),
    ],
)
def test_a_text_is_a_point_in_time(text: str, at: datetime) -> None:
    assert parse_time(text, NOW) == at


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("today", datetime(2026, 11, 23, 19, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 22, 19, tzinfo=UTC)),
        ("2026-11-23T13:45", datetime(2026, 11, 23, 8, 45, tzinfo=UTC)),
        ("2026-11-23T13:45Z", datetime(2026, 11, 23, 13, 45, tzinfo=UTC)),
    ],
)
def test_a_text_without_a_zone_means_that_of_now(text: str, at: datetime) -> None:
    here = datetime(2026, 11, 24, 1, 0, tzinfo=timezone(timedelta(hours=5)))

    assert parse_time(text, here) == at


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "d",
        "7",
        "7 d",
        "-7d",
        "+7d",
        "1.5h",
        "7y",
        "7D",
        "7d7h",
        "yesterday",
        "TODAY",
        "now",
        "99999999999d",
        "9" * 100_000,
        "x" * 100_000,
        "2026-11-31",
        "2026-13-01",
        "24.11.2026",
        "2026-11-24T25:00",
        "\x00",
        "\ud800",
        "2026-11-24\x00",
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_any_other_text_is_none(text: str) -> None:
    with pytest.raises(NotATime, match="is no point in time: write 30m") as raised:
        parse_time(text, NOW)

    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("text", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"])
def test_a_moment_that_utc_does_not_have_is_none(text: str) -> None:
    """A comparison with rows of the database would fail."""
    with pytest.raises(NotATime):
        parse_time(text, NOW)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("10", 10.0),
        ("0", 0.0),
        (" 10s ", 10.0),
        ("0.5", 0.5),
        ("1.5m", 90.0),
        ("2h", 7200.0),
        ("999999h", 3.6e9),
    ],
)
def test_a_text_is_a_length_of_time(text: str, length: float) -> None:
    assert parse_seconds(text) == pytest.approx(length)


@pytest.mark.parametrize(
    "text",
    ["", "s", "-1", "+1", "1e3", ".5", "1.", "1d", "10 s", "nan", "inf", "1,5", "٣", "9" * 100_000, "\x00"],
)
def test_any_other_text_is_no_length(text: str) -> None:
    with pytest.raises(NotATime, match="is no length of time: write 10") as raised:
        parse_seconds(text)

    assert len(str(raised.value)) < 400
