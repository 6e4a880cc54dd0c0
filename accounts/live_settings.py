"""Settings the operator changes while the server runs.

A value in the environment wins, so that a deployment stays what its files say; then comes what the operator
has set, then the default. Both are read by the same rules (proxy_site/environment.py). Requests read from
memory; a running server looks for changes together with the accounts, twice a second.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts.models import LiveSetting, Revision

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_values: dict[str, Any] = {}
"""What the operator has set, read and checked; empty until `reload` has run."""
warnings: dict[str, Callable[[Any], str]] = {}
"""By name of the setting: what the running server has to say against a value; empty when it works. Filled by
those that use the setting."""


class NotAllowed(Exception):
    """The value cannot be used; the text is the sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Current:
    """One setting as it stands, for a page or a command. `source` is environment, operator or default."""

    name: str
    meaning: str
    value: Any
    source: str
    start_value: Any
    is_fixed: bool
    choices: tuple[str, ...]
    changed_by: str = ""
    stored: str | None = None
    """What the operator has set, also when the environment wins over it."""


def live(name: str) -> Any:
    """The value that counts now, under the name and in the unit the operator knows it by.

    From memory: free to call for each request.
    """
    return _values[name] if name in _values else settings.LIVE_SETTINGS[name].start_value


def fix(name: str, text: str) -> None:
    """What the command line says counts as the environment does, for the life of this process."""
    spec = settings.LIVE_SETTINGS[name]
    settings.LIVE_SETTINGS[name] = replace(spec, start_value=spec.read(text), is_fixed=True)
    _values.pop(name, None)


def reload() -> None:
    """Read what the operator has set. A stored value that is no longer allowed is left out, and said so."""
    read: dict[str, Any] = {}
    for row in LiveSetting.objects.all():
        spec = settings.LIVE_SETTINGS.get(row.name)
        if spec is None or spec.is_fixed:
            continue
        try:
            read[row.name] = parse(row.name, row.value)
        except NotAllowed as error:
            logger.error("A stored setting is not used: %s", error)  # noqa: TRY400
    # In one step: requests read from another thread.
    global _values
    _values = read


def parse(name: str, text: str) -> Any:
    """Raises NotAllowed."""
    spec = settings.LIVE_SETTINGS.get(name)
    if spec is None:
        raise NotAllowed(f"{name} is not a setting that can be changed while the server runs.")
    try:
        return spec.read(text)
    except ValueError as error:
        raise NotAllowed(str(error)) from error


def change(name: str, text: str, *, by: str) -> None:
    """Raises NotAllowed. A running server follows within half a second."""
    parse(name, text)
    LiveSetting.objects.update_or_create(name=name, defaults={"value": text.strip(), "changed_by": by})
    Revision.bump()


def reset(name: str) -> None:
    """Back to the default."""
    LiveSetting.objects.filter(name=name).delete()
    Revision.bump()


def all_settings() -> list[Current]:
    """Read from the database, so that each process shows the same."""
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
        start_value=spec.start_value,
        is_fixed=spec.is_fixed,
        choices=spec.choices,
        changed_by=row.changed_by if row else "",
        stored=row.value if row else None,
    )
