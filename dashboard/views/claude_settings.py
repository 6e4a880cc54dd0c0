"""`/connect/claude-settings`: writes this gateway into Claude Code's settings, if the browser and the file
are on this machine. The page shows the change first, and writes only that."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.contrib import messages
from django.shortcuts import redirect
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.command_line import container_engine
from accounts.operators import audit
from dashboard import connecting
from dashboard.claude_settings import change, file
from dashboard.claude_settings.change import Refused
from dashboard.model_rows import offered_models
from dashboard.pages import operator_page, render_page
from gateway.api.authentication import is_local
from gateway.routing import resolution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest, HttpResponse

    from dashboard.claude_settings.file import SettingsFile

HERE = {"here": "connect"}
DONE = {
    "write": "Wrote this gateway into {path}",
    "remove": "Took this gateway out of {path}",
    "restore": "Put an older copy in the place of {path}",
}
"""The message after each act."""


class Plan(NamedTuple):
    file: SettingsFile
    act: str
    text: str
    """The text that the file will have."""

    @property
    def seal(self) -> str:
        """Return a hash of the two texts for the form, so that only the change that was shown is written."""
        return salted_hmac("dashboard.claude_settings", f"{self.file.text}\0{self.text}").hexdigest()


@operator_page
def claude_settings(request: HttpRequest) -> HttpResponse:
    asked = (request.POST if request.method == "POST" else request.GET).dict()
    if reason := refusal(request):
        return render_page(request, "claude_settings.html", {"refused": reason, **HERE}, status=403)
    context: dict[str, object] = {
        **HERE,
        **place_of_file(),
        "act": _act(asked),
        "fields": _fields(asked),
    }
    try:
        path = file.settings_path()
        context |= {"path": path, "copies": file.copies(path)}
        plan = _plan(request, asked)
        if request.method == "POST":
            _carry_out(request, plan)
            return redirect("dashboard:connect")
        context |= _shown(plan)
    except Refused as error:
        return render_page(request, "claude_settings.html", {**context, "refused": str(error)}, status=409)
    return render_page(request, "claude_settings.html", context)


def place_of_file() -> dict[str, str]:
    """Return the machine that has the file, and the container engine when that is a container; else ""."""
    return {"machine": platform.node(), "engine": container_engine()}


def refusal(request: HttpRequest) -> str:
    """Return why the file may not be written for this browser; "" when it may."""
    # A proxy that is trusted may name a loopback address, but knows no port (proxy_site/serving).
    if not is_local(request) or str(request.META.get("REMOTE_PORT")) == "0":
        return (
            "The settings file can be written only from the machine where this gateway runs, by the address "
            "http://127.0.0.1 or http://localhost and without a proxy."
        )
    return ""


def _plan(request: HttpRequest, asked: Mapping[str, str]) -> Plan:
    """Return the change that is asked for. Raises Refused."""
    found, act = file.read(file.settings_path()), _act(asked)
    if act == "restore":
        return Plan(found, act, file.read_copy(found.path, asked.get("copy", "")))
    variables = _variables(request, asked) if act == "write" else {}
    return Plan(found, act, change.with_variables(found.text, variables))


def _act(asked: Mapping[str, str]) -> str:
    act = asked.get("act", "write")
    return act if act in DONE else "write"


def _fields(asked: Mapping[str, str]) -> dict[str, str]:
    """Return the hidden fields that the form submits together with the action."""
    names = ("models", *connecting.MODEL_VARIABLES, "copy")
    return {name: asked[name] for name in names if asked.get(name)}


def _variables(request: HttpRequest, asked: Mapping[str, str]) -> dict[str, str]:
    offered = resolution.visible(offered_models())
    models = connecting.models_of(asked.get("models", ""), asked, offered)
    address = f"{request.scheme}://{request.get_host()}"
    variables = connecting.environment(address, has_key=bool(settings.AUTH_TOKEN), models=models)
    key = {"ANTHROPIC_AUTH_TOKEN": settings.AUTH_TOKEN} if settings.AUTH_TOKEN else {}
    return variables | key


def _carry_out(request: HttpRequest, plan: Plan) -> None:
    """Write the file. Raises Refused."""
    if not constant_time_compare(request.POST.get("seal", ""), plan.seal):
        raise Refused("It has changed since this page was made, so nothing was written.")
    has_key = bool(settings.AUTH_TOKEN) and settings.AUTH_TOKEN in plan.text
    copy = file.write(plan.file, plan.text, has_key=has_key)
    done = DONE[plan.act].format(path=plan.file.path)
    assert request.user.is_authenticated
    audit.record(request.user, done, request.user)
    kept = f" What it was is in {copy.name}." if copy else ""
    messages.success(request, f"{done}.{kept} Claude Code reads it when it starts.")


def _shown(plan: Plan) -> dict[str, object]:
    """Return the change as the page shows it. Raises Refused."""
    return {
        "target": plan.file.target if plan.file.target != plan.file.path else None,
        "is_new": plan.file.mode is None,
        "lines": change.difference(plan.file.text, plan.text, settings.AUTH_TOKEN),
        "decides_too": change.decides_too(plan.text),
        "seal": plan.seal,
    }
