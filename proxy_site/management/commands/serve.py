"""`runserver` under another name."""

from __future__ import annotations

from proxy_site.management.serving_command import ServingCommand


class Command(ServingCommand):
    name = "serve"
    help = "Runs the gateway. The same as runserver, under the name that a service has."
