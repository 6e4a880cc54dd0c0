from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from unfold.admin import ModelAdmin

from accounts.models import Revision
from gateway.models import ModelRoute

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest


@admin.register(ModelRoute)
class ModelRouteAdmin(ModelAdmin):
    list_display = ("client_name", "upstream_model", "fallback", "hidden", "pinned")
    list_filter = ("hidden", "pinned")
    search_fields = ("client_name", "upstream_model")

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ModelRoute]) -> None:
        super().delete_queryset(request, queryset)
        Revision.bump()  # the database deletes them without ModelRoute.delete
