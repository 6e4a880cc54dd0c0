from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from proxy_site.environment import Environment, SettingError, time_zone

if TYPE_CHECKING:
    from pathlib import Path

    from pytest import MonkeyPatch  # noqa: PT013


def test_the_environment_wins_over_a_file(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PORT=1111\nHOST=from-file\n")
    monkeypatch.setenv("PORT", "2222")

    env = Environment([tmp_path / ".env"])

    assert env.integer("PORT", 8672, between=(1, 65535)) == 2222
    assert env.text("HOST") == "from-file"


def test_the_first_file_wins_over_the_second(tmp_path: Path) -> None:
    (tmp_path / "first").write_text("SOME_NAME=first")
    (tmp_path / "second").write_text("SOME_NAME=second\nOTHER_NAME=second")

    env = Environment([tmp_path / "first", tmp_path / "second"])

    assert env.text("SOME_NAME") == "first"
    assert env.text("OTHER_NAME") == "second"


def test_a_byte_order_mark_does_not_hide_the_first_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AUTH_TOKEN=secret\nPORT=1111\n", encoding="utf-8-sig")

    env = Environment([tmp_path / ".env"], values={})

    assert (env.text("AUTH_TOKEN"), env.text("PORT")) == ("secret", "1111")


def test_a_file_does_not_leak_into_the_process_environment(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("LEAKS=yes")

    Environment([tmp_path / ".env"])

    import os

    assert "LEAKS" not in os.environ


def test_a_value_with_a_dollar_sign_stays_as_it_is(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_TOKEN", "$ecret")

    assert Environment().text("AUTH_TOKEN") == "$ecret"


@pytest.mark.parametrize("value", ["0", "21", "five", "1.5", "9" * 5000, "٣"])
def test_a_number_out_of_range_is_named_with_its_range(value: str, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("TRIES", value)

    if value == "٣":  # a digit to int(), and a legal value
        assert Environment().integer("TRIES", 5, between=(1, 20)) == 3
        return
    with pytest.raises(SettingError, match=r"^TRIES: .* it must be a whole number from 1 to 20\.$"):
        Environment().integer("TRIES", 5, between=(1, 20))


@pytest.mark.parametrize(
    ("value", "meaning"), [("true", True), ("1", True), ("ON", True), ("no", False), ("", False)]
)
def test_booleans_read_as_people_write_them(value: str, meaning: bool, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCH", value)

    assert Environment().boolean("SWITCH", default=True) is meaning


def test_a_word_that_is_no_boolean_is_refused(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCH", "maybe")

    with pytest.raises(SettingError, match="SWITCH: 'maybe' is not allowed; it must be true or false"):
        Environment().boolean("SWITCH", default=False)


def test_an_error_never_shows_a_secret(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "nonsense://user:hunter2@host/name")

    with pytest.raises(SettingError) as caught:
        Environment().database("DATABASE_URL", "sqlite:///x")

    assert "hunter2" not in str(caught.value)
    assert str(caught.value).startswith("DATABASE_URL: ")


@pytest.mark.parametrize(
    "address",
    [
        "postgres://user:hunter2@[bad",
        "postgres://user:hunter2@[bad/name",
        "postgres://user:hunter2@host:port/name",
        "postgres://user:hunter2@host:99999/name",
        "postgres://user:hunter2@ho\nst/name",
        "postgres://user:hunter2@ho st/name",
    ],
)
def test_a_database_address_that_leads_nowhere_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(SettingError) as caught:
        Environment(values={"DATABASE_URL": address}).database("DATABASE_URL", "sqlite:///x")

    assert str(caught.value).startswith("DATABASE_URL: its value is not allowed")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("postgres://user:p[w]d@host:5432/name", "host"),
        ("postgres://user:password@10.0.0.7/name", "10.0.0.7"),
        ("postgres:///name", ""),
    ],
)
def test_a_database_address_names_its_host(address: str, host: str) -> None:
    assert Environment(values={"DATABASE_URL": address}).database("DATABASE_URL", "")["HOST"] == host


NO_ADDRESSES = [
    "http://[", "http://", "https://:80", "http://host:port", "http://host:99999", "ftp://host", "host:80",
    "http://ho\nst", "http://ho st/", "http://host/\x1b[2J",
]  # fmt: skip


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_address_is_refused_at_the_start(address: str) -> None:
    env = Environment(values={"SOME_URL": address, "ENDPOINTS": f"https://host,{address}"})

    with pytest.raises(SettingError, match="SOME_URL: its value is not allowed"):
        env.url("SOME_URL")
    with pytest.raises(SettingError, match="ENDPOINTS: "):
        env.urls("ENDPOINTS")


def test_addresses_are_taken_without_the_slash_at_their_end() -> None:
    env = Environment(values={"ENDPOINTS": "http://127.0.0.1:8080/, https://[::1]/a/"})

    assert env.urls("ENDPOINTS") == ["http://127.0.0.1:8080", "https://[::1]/a"]
    assert env.urls("NONE") == []


@pytest.mark.parametrize("value", ["two\r\nlines: 1", "ümlaut", "a\x1b[2J"])
def test_what_cannot_stand_in_a_header_is_refused_at_the_start(value: str) -> None:
    with pytest.raises(SettingError, match="AGENT: "):
        Environment(values={"AGENT": value}).header("AGENT")


def test_an_empty_value_means_the_default(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")

    assert Environment().integer("PORT", 8672, between=(1, 65535)) == 8672


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Europe/Berlin", "13:00 CET"),
        (":Asia/Tokyo", "21:00 JST"),
        ("No/Such_Zone", "12:00 UTC"),
        ("/", "12:00 UTC"),
    ],
)
def test_a_time_zone_is_read_by_its_name(name: str, shown: str) -> None:
    assert f"{datetime(2026, 3, 1, 12, tzinfo=UTC).astimezone(time_zone(name)):%H:%M %Z}" == shown


def test_without_a_name_the_machines_own_zone_counts(tmp_path: Path) -> None:
    (tmp_path / "localtime").write_bytes(b"no zone")

    assert time_zone("", machines_own=tmp_path / "localtime") is UTC
    assert time_zone("", machines_own=tmp_path / "missing") is UTC


@pytest.mark.parametrize("value", ["10.0.0.0/8, ::1", "127.0.0.1", ""])
def test_networks_are_read(value: str) -> None:
    assert Environment(values={"PROXIES": value}).networks("PROXIES") == Environment(
        values={"PROXIES": value}
    ).listing("PROXIES")


@pytest.mark.parametrize("value", ["localhost", "10.0.0.0/33", "127.0.0.1;::1", "*"])
def test_what_is_no_network_is_refused(value: str) -> None:
    with pytest.raises(SettingError, match=r"PROXIES: .* it must be addresses or networks"):
        Environment(values={"PROXIES": value}).networks("PROXIES")
