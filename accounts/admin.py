"""The operator's desk: for now a list to look at, with the two switches that are safe to turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib import admin

from accounts.models import Account

if TYPE_CHECKING:
    from django.http import HttpRequest

admin.site.site_header = "Antigravity Claude Proxy" + (" · DEMO" if settings.DEMO else "")
admin.site.site_title = admin.site.site_header


@admin.register(Account)
class AccountAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    list_display = ("email", "state", "enabled", "tier", "project_id", "terms_accepted_at")
    list_filter = ("state", "enabled", "tier")
    search_fields = ("email",)
    fields = (
        "email", "enabled", "priority", "project_id", "tier",
        "state", "state_reason", "state_link", "state_since", "terms_accepted_at", "added_at",
    )  # fmt: skip
    readonly_fields: ClassVar = [
        "email", "tier", "state", "state_reason", "state_link", "state_since",
        "terms_accepted_at", "added_at",
    ]  # fmt: skip

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False  # a row without a refresh token could not be used
