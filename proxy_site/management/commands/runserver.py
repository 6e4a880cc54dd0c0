"""The command that runs the gateway."""

from __future__ import annotations

from proxy_site.management.serving_command import ServingCommand


class Command(ServingCommand):
    name = "runserver"
    help = (
        "Runs the gateway. It makes and migrates its database, and makes its keys. "
        "With --demo it answers from a built-in emulator, without any account."
    )
