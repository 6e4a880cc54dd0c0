"""Pages for errors, which look like the others and say what to do; the API's paths get its JSON instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils.cache import add_never_cache_headers

from dashboard.pages import render_page
from gateway.api.operator_access import is_operator_user
from gateway.operator_api import views as operator_api

if TYPE_CHECKING:
    from django.http import HttpRequest

TOLD = {
    400: ("The request cannot be read", "It holds too much, or is none of this page. Go back and try again."),
    403: (
        "Not allowed",
        "The form was not sent from this page, or your session has ended. Go back, reload, and try again.",
    ),
    404: ("There is no such page", "The address may be mistyped, or what was here has been deleted."),
}


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error(request, 400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error(request, 404)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error(request, 403)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Show the page for a failed CSRF check (Django's setting CSRF_FAILURE_VIEW)."""
    return _error(request, 403)


def failed(request: HttpRequest) -> HttpResponse:
    """Show the page for an unexpected error, which Django has logged. Reads neither session nor database."""
    if request.path.startswith(("/api/", "/account-limits")):
        return operator_api.failed(request)
    return HttpResponse(render_to_string("dashboard/failed.html"), status=500)


def _error(request: HttpRequest, status: int) -> HttpResponse:
    heading, advice = TOLD[status]
    template = "error.html" if is_operator_user(request.user) else "error_signed_out.html"
    response = render_page(request, template, {"heading": heading, "advice": advice}, status)
    add_never_cache_headers(response)
    return response
