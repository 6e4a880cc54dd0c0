"""The admin site: menu, home page, and the badge on every page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold.sites import UnfoldAdminSite

from accounts.admin.set_up import set_up


class OperatorSite(UnfoldAdminSite):
    def extra_urls(self) -> list[URLPattern]:
        return [path("set-up/<str:token>/", set_up, name="set_up")]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:accounts_account_changelist"))


def environment(request: HttpRequest) -> list[str] | None:
    """The badge beside the title: Unfold's setting ENVIRONMENT."""
    return ["DEMO", "warning"] if settings.DEMO else None


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    return [
        {
            "title": "Accounts",
            "items": [
                _entry("Accounts", "group", "admin:accounts_account_changelist"),
                _entry("Add an account", "person_add", "admin:accounts_account_add"),
            ],
        },
        {
            "title": "Gateway",
            "items": [
                _entry("Model routes", "alt_route", "admin:gateway_modelroute_changelist"),
                _entry("Settings", "tune", "admin:accounts_livesetting_changelist"),
                _entry("Audit log", "history", "admin:admin_logentry_changelist"),
            ],
        },
    ]


def _entry(title: str, icon: str, url_name: str) -> dict[str, str]:
    return {"title": title, "icon": icon, "link": reverse(url_name)}
