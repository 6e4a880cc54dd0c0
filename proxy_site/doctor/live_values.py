"""The check of settings that the operator has changed while the server ran."""

from __future__ import annotations

from typing import Any

from accounts import live_settings
from accounts.values.sanitize import truncate
from proxy_site.doctor.configuration import LONGEST_VALUE, UNSHOWN
from proxy_site.doctor.findings import Finding, ok, warning


def check_live_settings() -> Finding:
    """Report the settings that the operator has changed, and apply them to the following checks, too."""
    live_settings.reload()
    stored = [one for one in live_settings.all_settings() if one.stored is not None]
    lines = tuple(_line(one) for one in stored)
    unused = [one.name for one in stored if one.source != "operator"]
    if unused:
        return warning(
            "Live settings",
            f"Stored in the database, but not used: {', '.join(unused)}.",
            "A value in the environment or in .env wins: take it out there, or reset the stored one on "
            "/settings.",
            lines,
        )
    return ok("Live settings", f"{len(stored)} changed by the operator" + (":" if stored else ""), lines)


def _line(one: Any) -> str:
    value = "(set)" if one.name in UNSHOWN else truncate(str(one.value), LONGEST_VALUE)
    return f"{one.name} = {value}  ({'the database' if one.source == 'operator' else one.source})"
