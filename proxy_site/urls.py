"""URLs of pages and of the operator API. Those of the Messages API: gateway/api/urls.py, see asgi.py."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("admin/accounts/livesetting/", RedirectView.as_view(pattern_name="dashboard:settings")),
    path("admin/", admin.site.urls),
    path("", include("gateway.operator_api.urls")),
    path("", include("dashboard.urls")),
]

handler400 = "dashboard.views.errors.bad_request"
handler403 = "dashboard.views.errors.forbidden"
handler404 = "dashboard.views.errors.not_found"
handler500 = "dashboard.views.errors.failed"
