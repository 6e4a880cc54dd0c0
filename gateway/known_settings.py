"""Settings that every request needs. Reading an attribute of django.conf.settings calls functions of Django
each time. Here each setting is looked up once, and again after a change, which only tests make."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver


class KnownSettings:
    """Has the attributes of django.conf.settings. Live settings are not among them
    (accounts/live_settings.py)."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(settings, name)
        setattr(self, name, value)
        return value


known_settings = KnownSettings()


@receiver(setting_changed)
def _forget_all(**_: Any) -> None:
    vars(known_settings).clear()
