"""What clients of the Messages API call. Pages for people are in proxy_site/urls.py."""

from django.urls import path

from gateway import views

urlpatterns = [
    path("", views.heartbeat),
    path("v1/messages", views.messages),
    path("v1/messages/count_tokens", views.count_tokens),
    path("v1/models", views.models),
    path("v1/models/<path:model_id>", views.model),
    path("api/hello", views.hello),
    path("api/event_logging/batch", views.event_logging),
    path("health", views.health),
]
