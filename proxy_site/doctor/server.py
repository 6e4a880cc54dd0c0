"""The port, the process that has it, and the health of a running server."""

from __future__ import annotations

import asyncio
import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from accounts.command_line import manage
from accounts.network import CallFailed
from accounts.values.outside import as_list, parse_object
from accounts.values.sanitize import truncate
from proxy_site.data_dir import running_server
from proxy_site.doctor.findings import Finding, ok, problem, skipped, warning
from proxy_site.doctor.machine import holder, ports_of
from proxy_site.serving.address import url_on_this_machine
from proxy_site.serving.listener import PortTaken, bind

if TYPE_CHECKING:
    from accounts.network import AccountsClient

SECONDS = 2.0
OUR_HEALTH = {"status", "version", "summary"}
"""Fields by which the answer of a gateway's /health is known."""


async def check_server(client: AccountsClient, host: str, port: int) -> list[Finding]:
    """The findings about port and server."""
    health = await health_at(client, url_on_this_machine(host, port))
    lock_holder = process_with_lock()
    if health is not None:
        return [_about_our_port(host, port, lock_holder), _about_health(health)]
    return [_about_port(host, port, lock_holder), _about_silence(host, port, lock_holder)]


async def health_at(client: AccountsClient, url: str) -> dict[str, Any] | None:
    """What a gateway says at /health; None when something else answers there, or nothing."""
    with suppress(CallFailed, TimeoutError):
        async with asyncio.timeout(SECONDS):
            answer = await client.get(f"{url}/health")
        said = parse_object(answer.content)
        return said if said.keys() >= OUR_HEALTH else None
    return None


def process_with_lock() -> int | None:
    """The process that serves this DATA_DIR; None when there is none. 0 when it is not known."""
    server = running_server(settings.DATA_DIR)
    return server.process_id if server is not None else None


def _about_our_port(host: str, port: int, lock_holder: int | None) -> Finding:
    if lock_holder is None and connection.vendor == "sqlite":
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


def _about_port(host: str, port: int, lock_holder: int | None) -> Finding:
    try:
        bind(host, port, "runserver").close()
    except PortTaken as error:
        return _about_taken_port(host, port, lock_holder, error)
    return ok("Port", f"{host}:{port} is free")


def _about_taken_port(host: str, port: int, lock_holder: int | None, error: PortTaken) -> Finding:
    cause = error.__cause__
    if not isinstance(cause, OSError) or cause.errno != errno.EADDRINUSE:
        step = "Choose an address of this machine, and a port from 1024 up: HOST and PORT."
        return problem("Port", str(error), step)
    found = holder(port)
    if found and found[0] == lock_holder:
        return ok("Port", f"{host}:{port} is this gateway's{_by(port)}")
    who = f"process {found[0]} ({truncate(found[1], 40)})" if found else "a process of another user"
    return problem(
        "Port",
        f"{host}:{port} is taken by {who}, which is no gateway.",
        f"Stop it, or use another port: PORT in .env, or {manage('runserver PORT')}",
    )


def _about_silence(host: str, port: int, lock_holder: int | None) -> Finding:
    if lock_holder is None:
        return skipped("Server", "It does not run", f"Start it: {manage('runserver')}")
    found = holder(port)
    if found and found[0] == lock_holder:
        return problem(
            "Server",
            f"Process {lock_holder} listens, and has not answered /health within {SECONDS:.0f} s.",
            "Look at the last lines of its log. If it stays so, stop it by SIGTERM and start it again.",
        )
    ports = ports_of(lock_holder)
    known = ports[0] if len(ports) == 1 else "HOST:PORT"
    where = f"on port {' and '.join(map(str, ports))}, " if ports else ""
    return warning(
        "Server",
        f"Process {lock_holder or '(unknown)'} serves this DATA_DIR {where}not on {host}:{port}.",
        f"Name its address, to have it checked: {manage(f'doctor {known}')}",
    )
