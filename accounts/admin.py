"""The operator's desk: accounts, settings, and the log of what was done."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from unfold.admin import ModelAdmin

from accounts.models import Account, LiveSetting

# There is one operator, and the desk is all there is to see: nothing to administer about users.
admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(Account)
class AccountAdmin(ModelAdmin):
    list_display = ("email", "state", "enabled", "tier", "project_id", "terms_accepted_at")


@admin.register(LiveSetting)
class LiveSettingAdmin(ModelAdmin):
    pass


@admin.register(LogEntry)
class LogEntryAdmin(ModelAdmin):
    pass
