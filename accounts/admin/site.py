"""The admin site: menu, home page, and the badge on every page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold.sites import UnfoldAdminSite

from accounts.admin.menu import MENU
from accounts.admin.set_up import set_up


class OperatorSite(UnfoldAdminSite):
    def extra_urls(self) -> list[URLPattern]:
        return [path("set-up/<str:token>/", set_up, name="set_up")]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:accounts_account_changelist"))


def environment(request: HttpRequest) -> list[str] | None:
    """Return the badge beside the title, for Unfold's setting ENVIRONMENT; None for no badge."""
    return ["DEMO", "warning"] if settings.DEMO else None


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    return [
        {"title": section, "items": [_entry(*entry) for entry in entries]}
        for section, entries in MENU.items()
        if entries
    ]


def _entry(title: str, icon: str, url_name: str) -> dict[str, str]:
    return {"title": title, "icon": icon, "link": reverse(url_name)}
