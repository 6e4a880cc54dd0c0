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
    """Return the menu for Unfold, with the entry of this page as the only active one. Unfold itself takes for
    active each whose address is a part of the page's."""
    links = {url_name: reverse(url_name) for entries in MENU.values() for _, _, url_name in entries}
    own = [link for link in links.values() if link.startswith(reverse("admin:index"))]
    here = max((link for link in own if request.path.startswith(link)), key=len, default="")
    return [
        {
            "title": section,
            "items": [
                {"title": title, "icon": icon, "link": links[url_name], "active": links[url_name] == here}
                for title, icon, url_name in entries
            ],
        }
        for section, entries in MENU.items()
        if entries
    ]
