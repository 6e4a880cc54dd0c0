from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import TZPATH

import certifi
import pytest

from proxy_site.environment import ENVIRONMENT, Environment, SettingError, env_lines, is_secret, time_zone

if TYPE_CHECKING:
    from pytest import MonkeyPatch  # noqa: PT013

BERLIN = Path("/usr/share/zoneinfo/Europe/Berlin")


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


def test_it_knows_where_each_value_was_found(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=1111\nHOST=from-file\n")

    env = Environment([file], values={"PORT": "2222"})

    assert env.sources == {"PORT": ENVIRONMENT, "HOST": str(file)}


def test_an_error_names_the_file_of_its_value(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=high\n")

    with pytest.raises(SettingError) as error:
        Environment([file], values={}).integer("PORT", 8672, between=(1, 65535))

    assert (error.value.name, error.value.source) == ("PORT", str(file))


def test_a_byte_order_mark_does_not_hide_the_first_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AUTH_TOKEN=secret\nPORT=1111\n", encoding="utf-8-sig")

    env = Environment([tmp_path / ".env"], values={})

    assert (env.text("AUTH_TOKEN"), env.text("PORT")) == ("secret", "1111")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_of_powershell_is_read(tmp_path: Path, encoding: str) -> None:
    mark = "" if encoding == "utf-16" else "\ufeff"
    (tmp_path / ".env").write_bytes(f"{mark}AUTH_TOKEN=sécret\r\nPORT=1111\r\n".encode(encoding))

    env = Environment([tmp_path / ".env"], values={})

    assert (env.text("AUTH_TOKEN"), env.text("PORT")) == ("sécret", "1111")


def test_files_put_together_may_have_marks_inside(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("\ufeffONE=1\n\ufeffTWO=2\n\ufeff# THREE=3\n", encoding="utf-8")

    env = Environment([tmp_path / ".env"], values={})

    assert (env.text("ONE"), env.text("TWO"), env.has("THREE")) == ("1", "2", False)


@pytest.mark.parametrize(
    "line",
    [
        "AUTH_TOKEN: hunter2",
        "AUTH_TOKEN hunter2",
        "AUTH_TOKEN = hunter2",
        "hunter2",
        "export hunter2",
        "{'AUTH_TOKEN': 'hunter2'}",
        "AUTH-TOKEN=hunter2",
    ],
)
def test_a_line_that_cannot_be_read_is_named_by_its_number_alone(
    line: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".env").write_text(f"# A comment\n\n{line}\nPORT=1111\n")

    with pytest.raises(SettingError) as caught:
        Environment([tmp_path / ".env"], values={})

    assert str(caught.value).startswith(f"{tmp_path / '.env'}, line 3: cannot be read")
    assert "hunter2" not in f"{caught.value} {caplog.text}"


def test_a_line_in_another_encoding_is_named_by_its_number_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("PORT=1111\nAUTH_TOKEN=hünter2\n".encode("latin1"))

    with pytest.raises(SettingError, match=r"\.env, line 2: cannot be read; a line must have") as caught:
        Environment([tmp_path / ".env"], values={})

    assert "nter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_comments_blanks_and_quotes_are_read_as_ever(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "  # comment\n   \n\nexport A=1\nB='two words'\nC=\"x\"\n  D=4\nE=a=b # c\n"
    )

    env = Environment([tmp_path / ".env"], values={})

    assert [env.text(name) for name in "ABCDE"] == ["1", "two words", "x", "4", "a=b # c"]


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


@pytest.mark.parametrize("value", ["release", "express:*", "*", "2", "true,false"])
def test_debug_of_another_program_is_false_with_a_warning(value: str) -> None:
    env = Environment(values={"DEBUG": value})

    assert env.boolean("DEBUG", default=False, foreign_is_false=True) is False
    assert env.warnings == [f"DEBUG: {value!r} is not true or false, and counts as false."]


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
def test_an_invalid_database_address_is_refused_without_showing_it(address: str) -> None:
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


def test_postgresql_without_its_package_names_the_command(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(SettingError, match=r"^DATABASE_URL: .* `uv sync --extra postgresql` installs\.$"):
        Environment(values={"DATABASE_URL": "postgres://me:sesame@db/x"}).database("DATABASE_URL", "")


NO_ADDRESSES = [
    "http://[", "http://", "https://:80", "http://host:port", "http://host:99999", "ftp://host", "host:80",
    "http://ho\nst", "http://ho st/", "http://host/\x1b[2J",
]  # fmt: skip


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_an_invalid_address_is_refused_at_the_start(address: str) -> None:
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
def test_an_invalid_header_value_is_refused_at_the_start(value: str) -> None:
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


def test_a_time_zone_may_be_the_path_of_its_file() -> None:
    berlin = next(file for folder in TZPATH if (file := Path(folder) / "Europe" / "Berlin").is_file())

    assert (
        f"{datetime(2026, 3, 1, 12, tzinfo=UTC).astimezone(time_zone(f':{berlin}')):%H:%M %Z}" == "13:00 CET"
    )


@pytest.mark.parametrize(("value", "warnings"), [("UTC", 0), ("", 0), ("Mars/Base", 1), ("CET-1CEST", 1)])
def test_an_unknown_time_zone_gives_a_warning(value: str, warnings: int) -> None:
    env = Environment(values={"ZONE": value})

    env.time_zone("ZONE")

    assert len(env.warnings) == warnings


def test_without_a_name_the_machines_own_zone_counts(tmp_path: Path) -> None:
    (tmp_path / "localtime").write_bytes(b"no zone")

    assert time_zone("", machines_own=tmp_path / "localtime") is UTC
    assert time_zone("", machines_own=tmp_path / "missing") is UTC


@pytest.mark.skipif(not BERLIN.is_file(), reason="the machine has no files of time zones")
@pytest.mark.parametrize("name", [str(BERLIN), f":{BERLIN}"])
def test_a_time_zone_is_read_from_the_file_that_is_named(name: str) -> None:
    assert f"{datetime(2026, 3, 1, 12, tzinfo=UTC).astimezone(time_zone(name)):%H:%M %Z}" == "13:00 CET"


@pytest.mark.parametrize("content", [None, b"", b"no certificate", bytes(range(256))])
def test_unreadable_certificates_are_refused_at_the_start(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "roots.pem"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(
        SettingError, match=r"^SSL_CERT_FILE: '.*roots.pem' is not allowed; it must be the path"
    ):
        Environment(values={"SSL_CERT_FILE": str(file)}).certificates("SSL_CERT_FILE")


def test_certificates_that_can_be_read_are_taken() -> None:
    env = Environment(values={"SSL_CERT_FILE": certifi.where()})

    assert env.certificates("SSL_CERT_FILE") == certifi.where()
    assert env.certificates("UNSET") == ""


@pytest.mark.parametrize("value", ["10.0.0.0/8, ::1", "127.0.0.1", ""])
def test_networks_are_read(value: str) -> None:
    assert Environment(values={"PROXIES": value}).networks("PROXIES") == Environment(
        values={"PROXIES": value}
    ).listing("PROXIES")


@pytest.mark.parametrize("value", ["localhost", "10.0.0.0/33", "127.0.0.1;::1", "*"])
def test_an_invalid_network_is_refused(value: str) -> None:
    with pytest.raises(SettingError, match=r"PROXIES: .* it must be addresses or networks"):
        Environment(values={"PROXIES": value}).networks("PROXIES")


def test_env_lines_are_returned_unparsed(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("# ours\nHOST=earlier\n  export HOST='a = $b'\n\nPORT=1\n")
    second.write_text('PORT=2\nTZ="Europe/Berlin"\n')

    lines = env_lines([first, tmp_path / "nowhere", second])

    joined = tmp_path / "joined"
    joined.write_text("\n".join(lines.values()))
    assert lines == {"HOST": "HOST='a = $b'", "PORT": "PORT=1", "TZ": 'TZ="Europe/Berlin"'}
    for name in lines:
        as_before = Environment([first, second], values={}).text(name)
        assert Environment([joined], values={}).text(name) == as_before


def test_names_of_the_gateway_are_taken_as_a_host_header_has_them() -> None:
    env = Environment(values={"NAMES": "gateway.lan, .example.com, *, 192.168.1.5, FD00:0::5, [::1]"})

    assert env.hosts("NAMES", ()) == [
        *("gateway.lan", ".example.com", "*", "192.168.1.5"),
        *("[fd00::5]", "[::1]"),
    ]
    assert env.warnings == []


@pytest.mark.parametrize(
    "entry",
    ["192.168.1.5:9000", "http://gateway.lan", "gateway.lan/", "192.168.0.0/24", "[::1]:8672", "\x1b:["],
)
def test_an_impossible_host_name_gives_a_warning(entry: str) -> None:
    env = Environment(values={"NAMES": f"localhost,{entry}"})

    assert env.hosts("NAMES", ()) == ["localhost", entry]
    assert env.warnings == [
        f"NAMES: {entry!r} matches nothing; write a name or an address without http:// and port."
    ]


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)

    with pytest.raises(SettingError, match="DATA_DIR: there is no home directory"):
        Environment(values={}).path("DATA_DIR", "~/.config/antigravity-proxy")


@pytest.mark.parametrize(
    "name", ["AUTH_TOKEN", "GEMINI_API_KEY", "MY_PASSPHRASE", "SENTRY_DSN", "CREDENTIALS_KEYS", "HTTPS_PROXY"]
)
def test_secrets_are_known_by_parts_of_their_names(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "address",
    ["https://api.example.com/base", "http://127.0.0.1:9/gemini", "http://[::1]:9", "http://localhost:9/"],
)
def test_a_service_that_gets_secrets_is_taken(address: str) -> None:
    env = Environment(values={"GEMINI_API_URL": address})

    assert env.safe_url("GEMINI_API_URL", "https://api.example.com") == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    [
        "http://api.example.com",
        "http://10.0.0.1:8080",
        "http://127.0.0.1.example.com",
        "https://user@example.com",
        "https://example.com/?key=1",
        "https://example.com/#a",
        "ftp://127.0.0.1",
        "example.com",
    ],
)
def test_an_address_that_would_give_secrets_away_is_refused(address: str) -> None:
    with pytest.raises(SettingError, match="https://"):
        Environment(values={"GEMINI_API_URL": address}).safe_url("GEMINI_API_URL", "https://api.example.com")
