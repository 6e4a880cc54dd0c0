"""`/models`: what answers the names that clients ask for, and each model with its remaining quota. Models can
be pinned, hidden and mapped."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponseRedirect

from accounts.live_settings import live
from accounts.operators import audit
from dashboard.account_pools import read_account_pools
from dashboard.answering import chosen_now, serving_of
from dashboard.asked_models import asked_names
from dashboard.model_rows import model_rows, offered_models
from dashboard.overview.status_line import status_of_families
from dashboard.pages import operator_page, render_page
from gateway.ledger import usage
from gateway.models import ModelRoute, read_routes

if TYPE_CHECKING:
    from datetime import datetime

    from django.http import HttpRequest, HttpResponse

SPAN = timedelta(days=7)
DONE = {"pin": "Pinned", "unpin": "Unpinned", "hide": "Hid", "show": "Showed", "unmap": "Unmapped"}


class RouteForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    class Meta:
        model = ModelRoute
        fields = ("client_name", "upstream_model", "fallback")


@operator_page
def models(request: HttpRequest) -> HttpResponse:
    form = RouteForm()
    if request.method == "POST":
        form = _changed(request)
        if not form.errors:
            return HttpResponseRedirect(request.get_full_path())
    offered, routes = offered_models(), read_routes()
    used = usage.over(SPAN, "models", _by_model)
    accounts = read_account_pools()
    serving = [serving_of(one) for one in accounts]
    requests = {name: total.requests for name, total in used.items()}
    mode = live("GEMINI_HEADER_MODE")
    rows = model_rows(offered, routes, serving, requests, header_mode=mode)
    context = {
        "families": status_of_families(one.status for one in accounts),
        "unusable": [one.account for one in accounts if not one.account.is_usable],
        "asked": asked_names(
            usage.over(SPAN, "names", usage.newest_names), partial(chosen_now, routes, offered), serving, mode
        ),
        "rows": [row for row in rows if row.is_of_interest],
        "others": [row for row in rows if not row.is_of_interest],
        "shows_others": "all" in request.GET or not any(row.is_of_interest for row in rows),
        "offered": sorted(offered),
        "has_fallback": live("FALLBACK"),
        "form": form,
    }
    return render_page(request, "models.html", context, status=400 if form.errors else 200)


def _by_model(since: datetime) -> dict[str, usage.Totals]:
    """Return the totals by model, from the full hour on, which saves the queries for a part of an hour."""
    return usage.totals_by("model", since.replace(minute=0, second=0, microsecond=0))


def _changed(request: HttpRequest) -> RouteForm:
    """Do what the form asks for, and return the form, with errors when it could not be done."""
    name = request.POST.get("client_name", "").strip()
    route = ModelRoute.objects.filter(client_name=name).first() or ModelRoute(client_name=name)
    act = request.POST.get("act", "map")
    if act == "map":
        form = RouteForm(request.POST, instance=route)
        if form.is_valid():
            target = route.upstream_model or "the default"
            _store(request, form.save(commit=False), f"Mapped {name} to {target}")
        return form
    form = RouteForm()
    if act not in DONE:
        messages.error(request, "That is nothing this page can do.")
        return form
    if act in {"pin", "unpin"}:
        route.pinned = act == "pin"
    elif act in {"hide", "show"}:
        route.hidden = act == "hide"
    else:
        route.upstream_model = route.fallback = ""
    try:
        route.full_clean(validate_unique=False)
    except ValidationError as error:
        messages.error(request, f"{name[:100]}: {' '.join(error.messages)}")
    else:
        _store(request, route, f"{DONE[act]} {name}")
    return form


def _store(request: HttpRequest, route: ModelRoute, what: str) -> None:
    """Save the route, or delete one that has no settings left."""
    if route.upstream_model or route.fallback or route.hidden or route.pinned:
        route.save()
        audit.record(request.user, what, route)
    else:
        audit.record(request.user, what)
        if route.pk:
            route.delete()
    messages.success(request, f"{what}.")
