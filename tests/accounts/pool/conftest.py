from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django.fixtures import Settings

    Set = Callable[[str, Any], None]


class Clock:
    def __init__(self) -> None:
        self.now = 1_772_366_400.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def live_setting(settings: Settings) -> Set:
    """Change a live setting for one test. ACCOUNT_STRATEGY is sticky in all tests here."""

    def change(name: str, value: Any) -> None:
        spec = replace(settings.LIVE_SETTINGS[name], start_value=value)
        settings.LIVE_SETTINGS = {**settings.LIVE_SETTINGS, name: spec}

    change("ACCOUNT_STRATEGY", "sticky")
    return change
