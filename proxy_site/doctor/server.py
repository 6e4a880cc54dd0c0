"""Checks of the port, the process that uses it, and the health of a running server."""

from __future__ import annotations

import asyncio
import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from accounts.command_line import container_engine, manage
from accounts.network import CallFailed
from accounts.values.outside import as_list, parse_object
from accounts.values.sanitize import truncate
from proxy_site.data_dir import running_server
from proxy_site.doctor.findings import Finding, ok, problem, skipped, warning
from proxy_site.doctor.machine import holder
from proxy_site.operation.running_server import where_the_log_is
from proxy_site.serving.address import parse_address, url_on_this_machine
from proxy_site.serving.listener import PortTaken, bind

if TYPE_CHECKING:
    from accounts.network import AccountsClient
    from proxy_site.data_dir import RunningServer

SECONDS = 2.0
OUR_HEALTH = {"status", "version", "summary"}
"""The fields by which the answer of a gateway's /health is recognised."""


def address(text: str) -> tuple[str, int]:
    """Return host and port of the server to check: the given ones, else those of the server of this DATA_DIR,
    else those of the settings."""
    server = running_server(settings.DATA_DIR)
    at = urlsplit(server.url) if server and not text else None
    if at and at.hostname and at.port:
        return at.hostname, at.port
    return parse_address(text, settings.HOST, settings.PORT)


async def check_server(client: AccountsClient, host: str, port: int) -> list[Finding]:
    """Return the findings about port and server."""
    health = await health_at(client, url_on_this_machine(host, port))
    server = running_server(settings.DATA_DIR)
    if health is not None:
        return [await asyncio.to_thread(_about_our_port, host, port, server), _about_health(health)]
    about_port = await asyncio.to_thread(_about_port, host, port, server)
    return [about_port, _about_silence(host, port, server)]


async def health_at(client: AccountsClient, url: str) -> dict[str, Any] | None:
    """Return the answer of a gateway's /health; None when something else answers there, or nothing. /readyz
    has the same fields, and answers where ALLOWED_HOSTS does not have this address."""
    for path in ("/health", "/readyz"):
        with suppress(CallFailed, TimeoutError):
            async with asyncio.timeout(SECONDS):
                answer = await client.get(f"{url}{path}")
            said = parse_object(answer.content)
            if said.keys() >= OUR_HEALTH:
                return said
    return None


def _about_our_port(host: str, port: int, server: RunningServer | None) -> Finding:
    if server is None and connection.vendor == "sqlite":
        return warning(
            "Port",
            f"{host}:{port} belongs to another gateway, with another DATA_DIR{_by(port)}.",
            f"Give doctor that one's settings, or start this one on another port: {manage('runserver PORT')}",
        )
    return ok("Port", f"{host}:{port} is this gateway's{_by(port)}")


def _by(port: int) -> str:
    found = holder(port)
    return f" (process {found[0]}, {truncate(found[1], 40)})" if found else ""


def _about_health(health: dict[str, Any]) -> Finding:
    version, summary = truncate(str(health["version"]), 40), truncate(str(health["summary"]), 200)
    reasons = [truncate(str(one), 300) for one in as_list(health.get("degraded"))]
    if health["status"] != "ok":
        found = problem if health.get("database", "ok") != "ok" else warning
        sentence = f"It runs, degraded: {' '.join(reasons[:1])}".strip()
        step = "The sentence names what to do; docs/reliability.md has more."
        return found("Server", sentence, step, (*reasons[1:], summary))
    if version != settings.VERSION:
        sentence = f"Version {version} still runs, and the code here is {settings.VERSION}."
        return warning("Server", sentence, "Restart it.", (summary,))
    return ok("Server", f"version {version}, healthy; accounts: {summary}")


def _about_port(host: str, port: int, server: RunningServer | None) -> Finding:
    try:
        bind(host, port, "runserver").close()
    except PortTaken as error:
        return _about_taken_port(host, port, server, error)
    return ok("Port", f"{host}:{port} is free")


def _about_taken_port(host: str, port: int, server: RunningServer | None, error: PortTaken) -> Finding:
    cause = error.__cause__
    if not isinstance(cause, OSError) or cause.errno != errno.EADDRINUSE:
        step = "Choose an address of this machine, and a port from 1024 up: HOST and PORT."
        return problem("Port", str(error), step)
    found = holder(port)
    if found and server and found[0] == server.process_id:
        return ok("Port", f"{host}:{port} is this gateway's{_by(port)}")
    who = f"process {found[0]} ({truncate(found[1], 40)})" if found else "a process of another user"
    return problem(
        "Port",
        f"{host}:{port} is taken by {who}, which is no gateway.",
        f"Stop it, or use another port: PORT in .env, or {manage('runserver PORT')}",
    )


def _about_silence(host: str, port: int, server: RunningServer | None) -> Finding:
    if server is None:
        return skipped("Server", "It does not run", f"Start it: {manage('runserver')}")
    process = f"Process {server.process_id or '(unknown)'}"
    if server.url in {"", url_on_this_machine(host, port)}:
        log = where_the_log_is(server.process_id, engine=container_engine())
        return problem(
            "Server",
            f"{process} serves this DATA_DIR, and has not answered /health within {SECONDS:.0f} s.",
            f"Look at the end of its log{f' ({log})' if log else ''}. If it stays so, start it anew.",
        )
    return warning(
        "Server",
        f"{process} serves this DATA_DIR at {server.url}, not on {host}:{port}.",
        f"To have it checked: {manage('doctor')}",
    )
