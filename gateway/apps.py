from importlib import import_module

from django.apps import AppConfig

from accounts.admin.menu import MENU as ADMIN_MENU
from accounts.transfer import model_names


class GatewayConfig(AppConfig):
    name = "gateway"

    def ready(self) -> None:
        ADMIN_MENU["Gateway"].insert(0, ("Model routes", "alt_route", "admin:gateway_modelroute_changelist"))
        model_names.keeper = import_module("gateway.models").ImportedNames()
