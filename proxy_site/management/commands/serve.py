"""The gateway under uvicorn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings

from proxy_site.management.serving_command import ServingCommand
from proxy_site.serving.uvicorn import GatewayServer

if TYPE_CHECKING:
    import socket

    from proxy_site.serving.lifecycle import Lifecycle


class Command(ServingCommand):
    name = "serve"
    help = (
        "Runs the gateway under uvicorn, in one process, with the same options, limits and signals as "
        "runserver. With --demo it answers from a built-in emulator, without any account."
    )

    def run_server(self, application: Any, listener: socket.socket, lifecycle: Lifecycle) -> None:
        GatewayServer(application, listener, lifecycle, header_seconds=settings.HEADER_TIMEOUT_SECONDS).run()
