"""Live settings: those an operator can change while the server runs.

A value in the environment wins over the operator's stored value, and that over the default. All are parsed by
the same rules (proxy_site/environment.py); proxy_site/settings.py declares them, with default and range.
Requests read from memory; a running server polls for changes together with the accounts, twice a second.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.signals import setting_changed

from accounts.models import LiveSetting, Revision

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_values: dict[str, Any] = {}
"""The operator's values, parsed and checked; empty until `reload` has run."""
warnings: dict[str, Callable[[Any], str]] = {}
"""Functions by name of a setting, each of which returns a warning about a value, or "" for a value that
works. The code that uses the setting registers its function."""


class NotAllowed(Exception):
    """Raised for a value that cannot be used; the text is shown to the operator."""


@dataclass(frozen=True, slots=True)
class Current:
    """The current value of one setting, for a page or a command. `source` is environment, operator or
    default."""

    name: str
    meaning: str
    value: Any
    source: str
    is_fixed: bool
    choices: tuple[str, ...]
    allowed: str = ""
    """The range of a number, as text."""
    changed_by: str = ""
    stored: str | None = None
    """The operator's stored text, also when the environment wins over it."""


class _CurrentValues(dict[str, Any]):
    """Values by name, each looked up when it is first asked for."""

    def __missing__(self, name: str) -> Any:
        value = self[name] = _values[name] if name in _values else settings.LIVE_SETTINGS[name].start_value
        return value


current = _CurrentValues()
"""The current values by name, in the units of their names. It is replaced after each change, so always read
it through this module. Code that runs for each request reads it directly, which costs no function call."""


def live(name: str) -> Any:
    """Return the current value of a setting from memory, in the unit of its name."""
    return current[name]


def forget_known(**_: object) -> None:
    """Let `current` look again after a change."""
    # A new object: another thread may be adding an old value to the previous one.
    global current
    current = _CurrentValues()


setting_changed.connect(forget_known)


def fix(name: str, text: str) -> None:
    """Set a value from the command line, which counts like the environment until this process ends."""
    spec = settings.LIVE_SETTINGS[name]
    settings.LIVE_SETTINGS[name] = replace(spec, start_value=spec.read(text), is_fixed=True)
    _values.pop(name, None)
    forget_known()


def reload() -> None:
    """Read the operator's values from the database. One that is no longer allowed is ignored and logged."""
    read: dict[str, Any] = {}
    for row in LiveSetting.objects.all():
        spec = settings.LIVE_SETTINGS.get(row.name)
        if spec is None or spec.is_fixed:
            continue
        try:
            read[row.name] = parse(row.name, row.value)
        except NotAllowed as error:
            logger.error("A stored setting is not used: %s", error)  # noqa: TRY400
    # Replaced in one step, because requests read it from another thread.
    global _values
    _values = read
    forget_known()


def stored() -> dict[str, Any]:
    """Return the operator's values by name, as of the last `reload`. Do not change them."""
    return _values


def parse(name: str, text: str) -> Any:
    """Return the value that the text stands for. Raises NotAllowed."""
    spec = settings.LIVE_SETTINGS.get(name)
    if spec is None:
        raise NotAllowed(f"{name} is not a setting that can be changed while the server runs.")
    try:
        return spec.read(text)
    except ValueError as error:
        raise NotAllowed(str(error)) from error


def change(name: str, text: str, *, by: str) -> None:
    """Store a value; a running server uses it within half a second. Raises NotAllowed."""
    parse(name, text)
    LiveSetting.objects.update_or_create(name=name, defaults={"value": text.strip(), "changed_by": by})
    Revision.bump()


def reset(name: str) -> None:
    """Delete the operator's value, so that the default counts."""
    LiveSetting.objects.filter(name=name).delete()
    Revision.bump()


def all_settings() -> list[Current]:
    """Return the settings that are stored in the database, so that each process shows the same."""
    rows = {row.name: row for row in LiveSetting.objects.all()}
    return [_current(spec, rows.get(name)) for name, spec in settings.LIVE_SETTINGS.items()]


def _current(spec: Any, row: LiveSetting | None) -> Current:
    value, source = spec.start_value, "environment" if spec.is_fixed else "default"
    if row is not None and not spec.is_fixed:
        try:
            value, source = parse(spec.name, row.value), "operator"
        except NotAllowed:
            source = "default"
    return Current(
        name=spec.name,
        meaning=spec.meaning,
        value=value,
        source=source,
        is_fixed=spec.is_fixed,
        choices=spec.choices,
        allowed=spec.allowed,
        changed_by=row.changed_by if row else "",
        stored=row.value if row else None,
    )
