"""A command that runs the gateway: it creates what is missing, and serves until it is told to stop."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, connection
from django.utils import autoreload

from accounts import live_settings
from accounts.credentials.encryption import CredentialsUnreadable
from accounts.credentials.key_rotation import check_keys
from accounts.management.gateway_command import GatewayCommand
from accounts.network import is_loopback
from accounts.operators import passwords
from accounts.values.sanitize import escape_controls_but_line_ends
from gateway.known_settings import forget_known_settings
from gateway.telemetry.log_format import forget_settings
from proxy_site.data_dir import AlreadyServing, generated_auth_token, note_address, sole_server
from proxy_site.demo.environment import emulator
from proxy_site.environment import SettingError
from proxy_site.serving.address import NotAnAddress, parse_address, url_on_this_machine
from proxy_site.serving.banner import banner
from proxy_site.serving.lifecycle import Lifecycle
from proxy_site.serving.listener import PortTaken, bind, raise_open_files_limit
from proxy_site.serving.reachability import allow_bound_address
from proxy_site.serving.uvicorn import GatewayServer

if TYPE_CHECKING:
    from types import ModuleType


class ServingCommand(GatewayCommand):
    """The base of `runserver` and `serve`, which differ in their names only."""

    name: ClassVar[str]
    examples = ("8672", "8672 --demo")
    takes_demo_option = False
    _has_generated_key = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "addrport", nargs="?", metavar="[HOST:]PORT", help="default: the settings HOST and PORT"
        )
        parser.add_argument(
            "--demo", action="store_true", help="emulator, sample accounts, throw-away database"
        )
        parser.add_argument(
            "--fallback",
            action="store_true",
            help="let a fallback model answer when all accounts are at their limit",
        )
        parser.add_argument("--debug", action="store_true", help="log at level debug")
        parser.add_argument("--reload", action="store_true", help="for developers: restart when code changes")

    def handle(self, *args: Any, addrport: str | None, **options: Any) -> None:
        try:
            self._host, self._port = parse_address(addrport or "", settings.HOST, settings.PORT)
        except NotAnAddress as error:
            self._stop(str(error))
        if options["fallback"]:
            live_settings.fix("FALLBACK", "true")
        self._ensure_auth_token()
        if options["reload"]:
            autoreload.run_with_reloader(self._serve)
        else:
            self._serve()

    def _ensure_auth_token(self) -> None:
        """Generate a key if there is none, since anyone who can reach the gateway from another machine could
        use the accounts."""
        if settings.AUTH_TOKEN or is_loopback(self._host):
            return
        try:
            settings.AUTH_TOKEN = generated_auth_token(settings.DATA_DIR)
        except SettingError as error:
            self._stop(str(error))
        forget_settings()
        forget_known_settings()
        self._has_generated_key = True

    def _serve(self) -> None:
        with ExitStack() as stack:
            try:
                if connection.vendor == "sqlite":
                    stack.enter_context(sole_server(settings.DATA_DIR))
                listener = stack.enter_context(bind(self._host, self._port, self.name))
                shown_host = allow_bound_address(self._host, listener)
                self._prepare_database()
            except (AlreadyServing, CommandError, CredentialsUnreadable, PortTaken) as error:
                self._stop(str(error))
            except DatabaseError as error:
                self._stop(f"The database cannot be used: {str(error).strip()}")
            if warning := raise_open_files_limit():
                self.stderr.write(warning)
            asgi = import_module("proxy_site.asgi")  # only now: the gateway reads the database
            url = url_on_this_machine(shown_host, self._port)
            on_ready = partial(self._announce, banner(shown_host, self._port, self._has_generated_key), url)
            grace_seconds = settings.SHUTDOWN_GRACE_SECONDS
            lifecycle = Lifecycle(
                asgi.gateway,
                asgi.requests_in_flight,
                grace_seconds=grace_seconds,
                on_ready=on_ready,
                while_serving=_demo().traffic(asgi.gateway, emulator().state) if settings.DEMO else None,
            )
            GatewayServer(
                asgi.application, listener, lifecycle, header_seconds=settings.HEADER_TIMEOUT_SECONDS
            ).run()
            if connection.vendor == "postgresql" and asgi.gateway.accounts.database.problem:
                self._leave_threads_behind(1 if asgi.gateway.ledger.waiting else 0)

    def _leave_threads_behind(self, status: int) -> NoReturn:
        """Exit without waiting for threads that wait for a database without an answer. What they have cannot
        be stored; the log has the numbers."""
        logging.shutdown()
        self.stdout.flush()
        self.stderr.flush()
        os._exit(status)

    def _prepare_database(self) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        if settings.DEMO:
            _demo().write_example_data(emulator().state)
        check_keys()
        if settings.WEBUI_PASSWORD:
            passwords.set_password(settings.WEBUI_PASSWORD)

    def _announce(self, text: str, url: str) -> None:
        if connection.vendor == "sqlite":
            note_address(settings.DATA_DIR, url)
        self.stdout.write(text)
        self.stdout.flush()  # else nothing would appear in a pipe

    def _stop(self, sentence: str) -> NoReturn:
        self.stderr.write(escape_controls_but_line_ends(sentence))
        sys.exit(1)


def _demo() -> ModuleType:
    return import_module("proxy_site.demo.contents")  # with the emulator, which is large
