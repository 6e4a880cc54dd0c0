"""What all pages share: who may see them, what their base template needs, and fragments for htmx."""

from __future__ import annotations

from functools import cache, wraps
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django_htmx.http import HttpResponseClientRedirect

from dashboard.menu import MENU
from gateway.api.operator_access import is_operator_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse
    from django.http.response import HttpResponseBase
    from django.utils.safestring import SafeString

    View = Callable[..., HttpResponseBase]


def operator_page(view: View) -> View:
    """Decorate a view that only the operator may see, and that nobody may cache. Others are redirected to the
    login page, and from there back."""

    @never_cache
    @wraps(view)
    def checked(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        if is_operator_user(request.user):
            return view(request, **kwargs)
        return _to_login(request)

    return checked


def _to_login(request: HttpRequest) -> HttpResponse:
    htmx = request.htmx  # type: ignore[attr-defined]  # set by HtmxMiddleware
    here = (htmx.current_url_abs_path or "/") if htmx else request.get_full_path()
    response = redirect_to_login(here, reverse("admin:login"))
    return HttpResponseClientRedirect(response.url) if htmx else response


def render_page(
    request: HttpRequest, template: str, context: dict[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    """Render a template of `dashboard/`; `base.html` takes the menu, version and demo mark from here."""
    shared = {
        "version": settings.VERSION,
        "is_demo": settings.DEMO,
        "here": request.resolver_match.url_name if request.resolver_match else "",
        **(context or {}),
    }
    shared["menu"] = _menu(shared["here"])
    return render(request, f"dashboard/{template}", shared, status=status)


@cache
def _menu(here: str) -> SafeString:
    """Return the menu of one page, which has it twice: beside the page, and above it on narrow screens."""
    return render_to_string("dashboard/_menu.html", {"menu": MENU, "here": here})
