from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from accounts import live_settings
from accounts.live_settings import NotAllowed, all_settings, change, live, reset
from accounts.models import LiveSetting
from proxy_site.environment import Environment, LiveSettings, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def forgotten_afterwards() -> Iterator[None]:
    yield
    live_settings._values = {}
    live_settings.forget_known()


def current(name: str) -> live_settings.Current:
    return next(one for one in all_settings() if one.name == name)


def test_without_a_change_the_default_counts() -> None:
    assert live("DEFAULT_COOLDOWN_MS") == 10_000
    assert current("DEFAULT_COOLDOWN_MS").source == "default"


def test_a_change_counts_from_the_next_reading_on() -> None:
    change("DEFAULT_COOLDOWN_MS", "20000", by="admin")
    live_settings.reload()

    assert live("DEFAULT_COOLDOWN_MS") == 20_000
    assert (current("DEFAULT_COOLDOWN_MS").source, current("DEFAULT_COOLDOWN_MS").changed_by) == (
        "operator",
        "admin",
    )


def test_the_default_comes_back() -> None:
    change("FALLBACK", "true", by="admin")
    reset("FALLBACK")
    live_settings.reload()

    assert live("FALLBACK") is False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEFAULT_COOLDOWN_MS", "999"),
        ("DEFAULT_COOLDOWN_MS", "soon"),
        ("GEMINI_HEADER_MODE", "both"),
        ("GLOBAL_QUOTA_THRESHOLD", "1"),
        ("GLOBAL_QUOTA_THRESHOLD", "nan"),
        ("FALLBACK", "maybe"),
        ("SECRET_KEY", "x"),
        ("__class__", "x"),
    ],
)
def test_what_the_environment_would_refuse_is_refused_here(name: str, value: str) -> None:
    with pytest.raises(NotAllowed, match=name):
        change(name, value, by="admin")

    assert not LiveSetting.objects.exists()


def test_the_refusal_is_the_environments_own_sentence() -> None:
    with pytest.raises(SettingError) as by_environment:
        Environment(values={"MAX_CONTEXT_TOKENS": "-1"}).integer(
            "MAX_CONTEXT_TOKENS", 0, between=(0, 10_000_000)
        )

    with pytest.raises(NotAllowed) as by_operator:
        change("MAX_CONTEXT_TOKENS", "-1", by="admin")

    assert str(by_operator.value) == str(by_environment.value)


def test_the_environment_wins(settings: Settings) -> None:
    read = LiveSettings(Environment(values={"FALLBACK": "true"}))
    read.boolean("FALLBACK", default=False, meaning="")
    settings.LIVE_SETTINGS = read.by_name
    change("FALLBACK", "false", by="admin")
    live_settings.reload()

    assert live("FALLBACK") is True
    assert (current("FALLBACK").source, current("FALLBACK").stored) == ("environment", "false")


def test_the_command_line_counts_as_the_environment(settings: Settings) -> None:
    settings.LIVE_SETTINGS = dict(settings.LIVE_SETTINGS)
    change("FALLBACK", "false", by="admin")

    live_settings.fix("FALLBACK", "true")
    live_settings.reload()

    assert live("FALLBACK") is True


def test_a_stored_value_no_longer_allowed_is_ignored_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    LiveSetting.objects.create(name="DEFAULT_COOLDOWN_MS", value="1", changed_by="an older version")

    live_settings.reload()

    assert live("DEFAULT_COOLDOWN_MS") == 10_000
    assert "DEFAULT_COOLDOWN_MS" in caplog.text


def test_reading_costs_no_query(django_assert_num_queries: object) -> None:
    live_settings.reload()

    with django_assert_num_queries(0):  # type: ignore[operator]
        for name in ("FALLBACK", "SYSTEM_PREAMBLE", "DEFAULT_COOLDOWN_MS"):
            live(name)
