"""Paths of the dashboard. proxy_site/asgi.py lists their first segments."""

from django.urls import path

from dashboard.views import (
    claude_settings,
    connect,
    logs,
    models,
    overview,
    request,
    requests,
    settings,
    system,
    usage,
)
from dashboard.views.accounts import acting, adding, importing, pages

app_name = "dashboard"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("requests", requests.requests, name="requests"),
    path("requests/<str:request_id>", request.request, name="request"),
    path("accounts", pages.accounts, name="accounts"),
    path("accounts/add", adding.add, name="account_add"),
    path("accounts/sign-in/<int:number>", adding.sign_in, name="sign_in"),
    path("accounts/sign-in/<int:number>/status", adding.status, name="sign_in_status"),
    path("accounts/import", importing.upload, name="account_import"),
    path("accounts/import/confirm", importing.confirm, name="account_import_confirm"),
    path("accounts/<int:number>", pages.account, name="account"),
    path("accounts/<int:number>/action", acting.account_action, name="account_action"),
    path("models", models.models, name="models"),
    path("usage", usage.usage_page, name="usage"),
    path("logs", logs.logs, name="logs"),
    path("connect", connect.connect, name="connect"),
    path("connect/arrived", connect.arrived, name="arrived"),
    path("connect/claude-settings", claude_settings.claude_settings, name="claude_settings"),
    path("connect/choices", connect.model_choices, name="model_choices"),
    path("connect/try", connect.try_it, name="try"),
    path("settings", settings.settings_page, name="settings"),
    path("system", system.system, name="system"),
]
