"""The gateway under Daphne."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings

from proxy_site.management.serving_command import ServingCommand

if TYPE_CHECKING:
    import socket

    from proxy_site.serving.lifecycle import Lifecycle


class Command(ServingCommand):
    name = "runserver"
    help = (
        "Runs the gateway under Daphne. It makes and migrates its database, and makes its keys. "
        "With --demo it answers from a built-in emulator, without any account."
    )

    def run_server(self, application: Any, listener: socket.socket, lifecycle: Lifecycle) -> None:
        from proxy_site.serving.daphne import GatewayServer  # makes the event loop when it is imported

        GatewayServer(application, listener, lifecycle, header_seconds=settings.HEADER_TIMEOUT_SECONDS).run()
