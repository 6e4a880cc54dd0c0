from __future__ import annotations

from django.contrib import admin
from unfold.admin import ModelAdmin

from gateway.models import ModelRoute


@admin.register(ModelRoute)
class ModelRouteAdmin(ModelAdmin):
    list_display = ("client_name", "upstream_model", "fallback", "hidden", "pinned")
    list_filter = ("hidden", "pinned")
    search_fields = ("client_name", "upstream_model")
