from django.apps import AppConfig

from accounts.admin.menu import MENU as ADMIN_MENU
from dashboard.menu import MENU


class DashboardConfig(AppConfig):
    name = "dashboard"

    def ready(self) -> None:
        entries = [(entry.title, entry.icon, f"dashboard:{entry.url_name}") for entry in MENU]
        ADMIN_MENU["Dashboard"] = entries
