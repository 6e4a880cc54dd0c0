"""`/settings`: value, source and range of each live setting, with a form to change it; presets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpResponseRedirect

from accounts import live_settings
from accounts.models import LiveSetting
from accounts.operators import audit
from dashboard.pages import operator_page, render_page
from dashboard.presets import PRESETS

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from dashboard.presets import Preset

LONGEST_VALUE = 20_000
LONG_TEXTS = {"SYSTEM_PREAMBLE"}


@operator_page
def settings_page(request: HttpRequest) -> HttpResponse:
    errors: dict[str, str] = {}
    if request.method == "POST":
        name = request.POST.get("name", "")
        try:
            _apply(request, name)
        except live_settings.NotAllowed as error:
            errors[name] = str(error)
        else:
            return HttpResponseRedirect(f"{request.path}#{name}" if name else request.path)
    current = live_settings.all_settings()
    context = {
        "settings": [_shown(one, errors, request) for one in current],
        "presets": [_shown_preset(key, preset, current) for key, preset in PRESETS.items()],
    }
    return render_page(request, "settings.html", context, status=400 if errors else 200)


def _apply(request: HttpRequest, name: str) -> None:
    """Do what the form asks for. Raises NotAllowed."""
    if request.POST.get("preset") in PRESETS:
        _use_preset(request, PRESETS[request.POST["preset"]])
    else:
        _change(request, name, None if "reset" in request.POST else request.POST.get("value", ""))


def _change(request: HttpRequest, name: str, value: str | None) -> None:
    """Store the value, or reset it to the default for None. Raises NotAllowed."""
    if value is not None and len(value) > LONGEST_VALUE:
        raise live_settings.NotAllowed(f"{name}: at most {LONGEST_VALUE} characters.")
    if value is None:
        live_settings.parse(name, "")
        live_settings.reset(name)
        what = f"Set {name} back to its default"
    else:
        live_settings.change(name, value, by=request.user.get_username())
        what = f"Changed {name}" if name in LONG_TEXTS else f"Changed {name} to {value!r}"
    audit.record(request.user, what, LiveSetting(name=name))
    messages.success(request, f"{what}.")


def _use_preset(request: HttpRequest, preset: Preset) -> None:
    """Store the preset's values; those set in the environment stay, since they win."""
    fixed = {one.name for one in live_settings.all_settings() if one.is_fixed}
    for name, value in preset.values.items():
        if name not in fixed:
            live_settings.change(name, value, by=request.user.get_username())
    audit.record(request.user, f"Used the settings for {preset.title.lower()}")
    kept = ", ".join(sorted(fixed & preset.values.keys()))
    exception = f" Kept, set in the environment: {kept}." if kept else ""
    messages.success(request, f"Settings for {preset.title.lower()}.{exception}")


def _shown(current: live_settings.Current, errors: dict[str, str], request: HttpRequest) -> dict[str, Any]:
    error = errors.get(current.name, "")
    return {
        "current": current,
        "error": error,
        "warning": _warning(current),
        "text": request.POST.get("value", "") if error else _as_text(current.value),
        "is_long": current.name in LONG_TEXTS,
    }


def _shown_preset(key: str, preset: Preset, settings: list[live_settings.Current]) -> dict[str, Any]:
    values = {one.name: _as_text(one.value) for one in settings}
    changes = [(name, values[name], value) for name, value in preset.values.items() if values[name] != value]
    return {"key": key, "preset": preset, "changes": changes}


def _warning(current: live_settings.Current) -> str:
    warn = live_settings.warnings.get(current.name)
    return warn(current.value) if warn is not None else ""


def _as_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)
