"""The page of live settings: value and source of each, with a form to change it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from unfold.widgets import INPUT_CLASSES, SELECT_CLASSES, TEXTAREA_CLASSES

from accounts import live_settings
from accounts.models import LiveSetting
from accounts.operators import audit

LONGEST_VALUE = 20_000
LONG_TEXTS = {"SYSTEM_PREAMBLE"}


def settings_page(request: HttpRequest) -> HttpResponse:
    errors: dict[str, str] = {}
    if request.method == "POST":
        name, value = request.POST.get("name", ""), request.POST.get("value", "")
        try:
            _change(request, name, None if "reset" in request.POST else value)
        except live_settings.NotAllowed as error:
            errors[name] = str(error)
        else:
            return HttpResponseRedirect(request.path)
    context = {
        "settings": [_shown(one, errors, request) for one in live_settings.all_settings()],
        "title": "Settings",
        "input_class": " ".join(INPUT_CLASSES),
        "select_class": " ".join(SELECT_CLASSES),
        "textarea_class": " ".join(TEXTAREA_CLASSES),
    }
    return render(request, "accounts/live_settings.html", {**admin.site.each_context(request), **context})


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


def _shown(current: live_settings.Current, errors: dict[str, str], request: HttpRequest) -> dict[str, Any]:
    error = errors.get(current.name, "")
    return {
        "current": current,
        "error": error,
        "warning": _warning(current),
        "text": request.POST.get("value", "") if error else _as_text(current.value),
        "is_long": current.name in LONG_TEXTS,
    }


def _warning(current: live_settings.Current) -> str:
    warn = live_settings.warnings.get(current.name)
    return warn(current.value) if warn is not None else ""


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
