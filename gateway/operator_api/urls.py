"""Paths of statistics, limits, requests and activity, served by Django's own handler with sessions."""

from django.urls import path, re_path

from gateway.ledger.usage import DIMENSIONS
from gateway.operator_api import views

urlpatterns = [
    path("account-limits", views.account_limits),
    re_path(f"^api/stats/(?P<dimension>{'|'.join(DIMENSIONS)})$", views.totals_by),
    path("api/stats/session", views.sessions),
    path("api/stats/history", views.history),
    path("api/stats/tokens", views.tokens),
    path("api/stats/retries", views.retries),
    path("api/stats/servers", views.servers),
    path("api/requests", views.requests),
    path("api/requests/<str:request_id>", views.one_request),
    path("api/activity", views.activity),
    re_path("^api/(?:stats|requests)/", views.nothing_here),
]
