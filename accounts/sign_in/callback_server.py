"""Where the browser comes back to from Google: a small server on this machine's loopback addresses.

One for the process, opened with the first sign-in and closed when none is waiting any more. Google's answer
is given to the attempt its state value names, so sign-ins may run side by side.
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
    """All ports for the way back are taken; the text is for the operator."""

    def __init__(self) -> None:
        ports = attempts.callback_ports()
        super().__init__(
            f"The ports {ports[0]} to {ports[-1]} for Google's answer are all taken. "
            "Paste the address instead (--no-browser), or set OAUTH_CALLBACK_PORT."
        )


class CallbackListener:
    """A context manager; also opened by `shared_listener`. `port` is the one that was bound."""

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
    """The listener of this process; it closes by itself. Raises NoPortFree."""
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
        idle = 0 if _is_anybody_waiting() else idle + 1
        if idle == 2:  # not at once: a sign-in that has just been given the port has no row yet
            close_shared_listener()


def _is_anybody_waiting() -> bool:
    try:
        return SignIn.objects.filter(
            status__in=[SignIn.Status.PENDING, SignIn.Status.FINISHING],
            started_at__gt=timezone.now() - SignIn.LIFETIME,
        ).exists()
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
    """Both loopback addresses on one port: `localhost` may mean either. Raises NoPortFree."""
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

    def do_GET(self) -> None:  # the library's name
        query = self._brought_back()
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

    def _brought_back(self) -> str | None:
        """Google's answer, as a query; None for a request that is not meant for us."""
        try:
            address = urlsplit(self.path)
            is_ours = address.path == CALLBACK_PATH and self._is_for_us()
        except ValueError:  # a path or a Host that is no address
            return None
        return address.query if is_ours else None

    def _is_for_us(self) -> bool:
        """A page elsewhere that has bent its own name to this machine is turned away."""
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
        """Nothing: the address holds the code."""
