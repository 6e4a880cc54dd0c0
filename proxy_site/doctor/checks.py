"""The checks that need packages, settings or the database, in their order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from channels.db import database_sync_to_async
from django.conf import settings

from accounts.models import Account
from accounts.network import AccountsClient
from proxy_site.doctor import claude_code, database, findings, google, live_values, machine, network, server
from proxy_site.doctor.findings import Finding, State, guarded, report_all

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from proxy_site.doctor.findings import Report

    Checks = dict[str, Coroutine[None, None, Finding | list[Finding]]]


def check_all(report: Report, *, address: str = "", offline: bool = False) -> None:
    """Run the checks that follow the settings. `address` is the server's `[HOST:]PORT`; "" for the settings
    HOST and PORT."""
    report_all(guarded("Disk", lambda: machine.check_disk(settings.DATA_DIR)), report)
    found = guarded("Database", database.check_database)
    report_all(found, report)
    has_tables = all(one.state is State.OK for one in found)
    if has_tables:
        report_all(guarded("Live settings", live_values.check_live_settings), report)
        report_all(guarded("Keys", database.check_keys), report)
    else:
        report(findings.skipped("Accounts", "Not checked: they are in the database"))
    _run_in_a_loop(_check_network(report, address, offline=offline, with_accounts=has_tables))


async def _check_network(report: Report, address: str, *, offline: bool, with_accounts: bool) -> None:
    """Run the checks that wait for other processes and machines concurrently; each is reported as it ends."""
    client = AccountsClient()
    checks = _of_this_machine(client, address, offline=offline)
    if offline:
        report(findings.skipped("Google", "Not asked, because of --offline"))
    else:
        kinds = await _kinds() if with_accounts else set()
        checks |= _of_providers(client, kinds, with_accounts=with_accounts)
    try:
        for done in asyncio.as_completed([_settled(name, check) for name, check in checks.items()]):
            report_all(await done, report)
    finally:
        await client.close()


def _of_this_machine(client: AccountsClient, address: str, *, offline: bool) -> Checks:
    host, port = server.address(address)
    return {
        "Server": server.check_server(client, host, port),
        "Claude Code": claude_code.check_claude_code(client, host, port, offline=offline),
    }


async def _kinds() -> set[str]:
    return await database_sync_to_async(lambda: set(Account.objects.values_list("kind", flat=True)))()


def _of_providers(client: AccountsClient, kinds: set[str], *, with_accounts: bool) -> Checks:
    accounts: Checks = {"Accounts": _accounts(client)} if with_accounts else {}
    return {
        "Proxy": network.check_proxy(),
        "Endpoints": network.check_endpoints(client, kinds),
        "OAuth client": google.check_client(client, kinds),
        **accounts,
    }


async def _accounts(client: AccountsClient) -> list[Finding]:
    accounts = await database_sync_to_async(lambda: list(Account.objects.all()))()
    return await google.check_accounts(client, accounts) if accounts else [google.no_account()]


async def _settled(name: str, check: Coroutine[None, None, Finding | list[Finding]]) -> list[Finding]:
    """Return the findings of the check; when the check itself fails, a finding about that."""
    try:
        found = await check
    except Exception as error:  # the other checks go on
        found = findings.unexpected(name, error)
    return found if isinstance(found, list) else [found]


def _run_in_a_loop(work: Coroutine[None, None, None]) -> None:
    """Like asyncio.run, but without waiting at the end for threads that look up names."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.run_until_complete(_cancel_all())
        loop.close()


async def _cancel_all() -> None:
    """Cancel the tasks that are left after an interruption."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
