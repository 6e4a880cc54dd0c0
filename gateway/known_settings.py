"""Settings that every request needs. Reading an attribute of django.conf.settings calls functions of Django
each time. Here each setting is looked up once, and again after a change. Code that assigns a setting calls
`forget_known_settings`; tests send setting_changed."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver


class KnownSettings:
    """A cache of the attributes of django.conf.settings. Live settings are not among them
    (accounts/live_settings.py)."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(settings, name)
        setattr(self, name, value)
        return value


known_settings = KnownSettings()


@receiver(setting_changed)
def forget_known_settings(**_: Any) -> None:
    """Look up all settings again."""
    vars(known_settings).clear()
