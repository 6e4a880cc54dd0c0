"""Paths of the dashboard. proxy_site/asgi.py lists their first segments."""

from django.urls import path

from dashboard.views import overview, settings, system

app_name = "dashboard"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("settings", settings.settings_page, name="settings"),
    path("system", system.system, name="system"),
]
