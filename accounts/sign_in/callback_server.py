"""OAuth callback server: a small HTTP server on the loopback addresses, the target of Google's redirect.

A process has one, opened with the first sign-in and closed when none is pending. An answer goes to the
attempt of its state value, so sign-ins may run concurrently.
"""

from __future__ import annotations

import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from django.db import close_old_connections, connection
from django.template.loader import render_to_string
from django.utils import timezone

from accounts.models import SignIn
from accounts.network import is_loopback
from accounts.sign_in import attempts
from accounts.sign_in.pasted_address import CALLBACK_PATH, AnswerUnusable

logger = logging.getLogger(__name__)

CHECK_SECONDS = 5.0


class NoPortFree(Exception):
    """Raised when all callback ports are in use; the text is for the operator."""

    def __init__(self) -> None:
        ports = attempts.callback_ports()
        super().__init__(
            f"The ports {ports[0]} to {ports[-1]} for Google's answer are all taken. "
            "Paste the address instead (--no-browser), or set OAUTH_CALLBACK_PORT."
        )


class CallbackListener:
    """The servers on both loopback addresses, as a context manager. `port` is the bound one."""

    def __init__(self) -> None:
        self.port, self._servers = _bind()
        self.stopped = threading.Event()

    def start(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.1,), name="sign-in", daemon=True).start()
        return self

    def stop(self) -> None:
        self.stopped.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()


_shared: CallbackListener | None = None
_lock = threading.Lock()


def shared_listener() -> CallbackListener:
    """Return the listener of this process, started if needed; a thread closes it when no attempt is pending.
    Raises NoPortFree."""
    global _shared
    with _lock:
        if _shared is None:
            _shared = CallbackListener().start()
            threading.Thread(
                target=_close_when_idle, args=(_shared,), name="sign-in closer", daemon=True
            ).start()
        return _shared


def close_shared_listener() -> None:
    global _shared
    with _lock:
        listener, _shared = _shared, None
    if listener is not None:
        listener.stop()


def _close_when_idle(listener: CallbackListener) -> None:
    idle = 0
    while not listener.stopped.wait(CHECK_SECONDS):
        idle = 0 if _is_any_pending() else idle + 1
        if idle == 2:  # not at the first check: an attempt that has just got the port has no row yet
            close_shared_listener()


def _is_any_pending() -> bool:
    try:
        latest = timezone.now() - SignIn.LIFETIME
        return SignIn.objects.filter(status__in=SignIn.WAITING, started_at__gt=latest).exists()
    finally:
        connection.close()


# The sockets


class _Server(ThreadingHTTPServer):
    allow_reuse_address = False  # a port that another program listens on must look taken
    daemon_threads = True

    def __init__(self, family: socket.AddressFamily, port: int) -> None:
        self.address_family = family
        super().__init__(("::1" if family is socket.AF_INET6 else "127.0.0.1", port), _Handler)


def _bind() -> tuple[int, list[_Server]]:
    """Bind one port on both loopback addresses: `localhost` may resolve to either. Raises NoPortFree."""
    for port in attempts.callback_ports():
        servers: list[_Server] = []
        try:
            servers.append(_Server(socket.AF_INET, port))
            if _has_ipv6():
                servers.append(_Server(socket.AF_INET6, port))
        except OSError:
            for server in servers:
                server.server_close()
            continue
        return port, servers
    raise NoPortFree


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class _Handler(BaseHTTPRequestHandler):
    timeout = 10.0

    def do_GET(self) -> None:  # the name http.server looks up
        query = self._callback_query()
        if query is None:
            self._answer(HTTPStatus.NOT_FOUND, "There is nothing here.")
            return
        try:
            attempt = attempts.finish_from_callback(dict(parse_qsl(query)))
        except AnswerUnusable as error:
            self._answer(HTTPStatus.BAD_REQUEST, str(error))
        except Exception:
            logger.exception("A sign-in could not be finished")
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, "The gateway failed; its log says why.")
        else:
            self._answer(HTTPStatus.OK if attempt.account else HTTPStatus.BAD_REQUEST, "", attempt)
        finally:
            close_old_connections()
            connection.close()

    def _callback_query(self) -> str | None:
        """Return the query of Google's answer; None for any other request."""
        try:
            address = urlsplit(self.path)
            is_callback = address.path == CALLBACK_PATH and self._has_loopback_host()
        except ValueError:  # a path or a Host that is no address
            return None
        return address.query if is_callback else None

    def _has_loopback_host(self) -> bool:
        """Return False when the Host header has another name, as a protection against DNS rebinding."""
        return is_loopback(urlsplit(f"//{self.headers.get('Host', '')}").hostname or "")

    def _answer(self, status: HTTPStatus, problem: str, attempt: SignIn | None = None) -> None:
        page = render_to_string("accounts/callback.html", {"problem": problem, "attempt": attempt}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.end_headers()
        self.wfile.write(page)

    def version_string(self) -> str:
        return "sign-in"

    def log_message(self, *args: Any) -> None:
        """Log nothing, because the address contains the code."""
