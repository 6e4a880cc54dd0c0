"""Paths of the dashboard. proxy_site/asgi.py lists their first segments."""

from django.urls import path

from dashboard.views import models, overview, settings, system, usage

app_name = "dashboard"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("models", models.models, name="models"),
    path("usage", usage.usage_page, name="usage"),
    path("settings", settings.settings_page, name="settings"),
    path("system", system.system, name="system"),
]
