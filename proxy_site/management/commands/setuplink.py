from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from accounts.management.operator_command import OperatorCommand
from accounts.network import is_loopback
from accounts.operators import passwords
from proxy_site.serving.address import NotAnAddress, parse_address, url_on_this_machine


class Command(OperatorCommand):
    examples = ("8672",)
    help = (
        "Prints a link on which the first operator chooses a password. It works once, for 30 minutes, in a "
        "browser on the gateway's own machine; links printed earlier stop working. Whoever has the link can "
        "become the operator, so a server whose output goes to a log never prints it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "addrport",
            nargs="?",
            default="",
            metavar="[HOST:]PORT",
            help="where the gateway listens; default: the settings HOST and PORT",
        )

    def act(self, *, addrport: str, **options: Any) -> None:
        try:
            host, port = parse_address(addrport, settings.HOST, settings.PORT)
        except NotAnAddress as error:
            raise CommandError(str(error)) from error
        url = url_on_this_machine(host, port)
        if not is_loopback(urlsplit(url).hostname or ""):
            raise CommandError(
                f"A link works on loopback only, and the gateway listens on {host}: set WEBUI_PASSWORD and "
                "restart it."
            )
        token = passwords.new_set_up_token()
        if token is None:
            raise CommandError(
                f"There is an operator already, {passwords.OPERATOR}. To change the password, set "
                "WEBUI_PASSWORD and restart the gateway."
            )
        link = f"{url}/admin/set-up/{token}/"
        self.report([{"link": link, "minutes": int(passwords.LINK_LIFETIME.total_seconds() // 60)}], link)
