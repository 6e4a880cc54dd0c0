"""Pages for people. What clients of the Messages API call is in gateway/api/urls.py: see asgi.py."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("gateway.operator_api.urls")),
    path("", include("dashboard.urls")),
]

handler500 = "gateway.operator_api.views.failed"
