"""URLs of pages and of the operator API. Those of the Messages API: gateway/api/urls.py, see asgi.py."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("gateway.operator_api.urls")),
    path("", include("dashboard.urls")),
]

handler500 = "gateway.operator_api.views.failed"
