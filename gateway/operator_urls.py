"""Numbers and events for the operator: answered by Django's own handler, with sessions."""

from django.urls import path, re_path

from gateway import operator_views
from gateway.ledger.usage import DIMENSIONS

urlpatterns = [
    path("account-limits", operator_views.account_limits),
    re_path(f"^api/stats/(?P<dimension>{'|'.join(DIMENSIONS)})$", operator_views.totals_by),
    path("api/stats/session", operator_views.sessions),
    path("api/stats/history", operator_views.history),
    path("api/stats/tokens", operator_views.tokens),
    path("api/stats/retries", operator_views.retries),
    path("api/stats/servers", operator_views.servers),
    path("api/requests", operator_views.requests),
    path("api/requests/<str:request_id>", operator_views.one_request),
    path("api/activity", operator_views.activity),
    re_path("^api/(?:stats|requests)/", operator_views.nothing_here),
]
