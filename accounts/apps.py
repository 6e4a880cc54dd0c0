from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class AccountsConfig(AppConfig):
    name = "accounts"
    default = True


class OperatorAdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "accounts.admin.site.OperatorSite"

    def ready(self) -> None:
        """Register this app's models after those of other apps, since it replaces the admin page for
        users."""
        super().ready()
        import_module("accounts.admin.accounts")
