"""Paths of the API. Pages are in proxy_site/urls.py."""

from django.urls import path

from gateway.api import health, messages, models, status

urlpatterns = [
    path("", status.heartbeat),
    path("v1/messages", messages.messages),
    path("v1/messages/count_tokens", messages.count_tokens),
    path("v1/models", models.models),
    path("v1/models/<path:model_id>", models.model),
    path("api/hello", status.hello),
    path("api/event_logging/batch", status.event_logging),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("health", health.health),
]
