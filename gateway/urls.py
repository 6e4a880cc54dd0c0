"""What clients of the Messages API call. Pages for people are in proxy_site/urls.py."""

from django.urls import path

from gateway import message_views, model_views, status_views

urlpatterns = [
    path("", status_views.heartbeat),
    path("v1/messages", message_views.messages),
    path("v1/messages/count_tokens", message_views.count_tokens),
    path("v1/models", model_views.models),
    path("v1/models/<path:model_id>", model_views.model),
    path("api/hello", status_views.hello),
    path("api/event_logging/batch", status_views.event_logging),
    path("health", status_views.health),
]
