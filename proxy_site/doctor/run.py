"""The checks in their order: each stage begins only when the one before lets it.

Modules that need packages, settings or the database are imported late, because their absence is what this
command reports.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy_site.doctor import findings, packages
from proxy_site.doctor.findings import Finding, State
from proxy_site.doctor.report import Reporter
from proxy_site.serving.address import NotAnAddress, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from accounts.network import AccountsClient
    from proxy_site.doctor.findings import Report

    Checks = dict[str, Coroutine[None, None, Finding | list[Finding]]]

HELP = (
    "Checks this machine, the settings, the database, the way to Google, the accounts, Claude Code and a "
    "running server, and says what to do about each problem. It changes nothing, except that it marks an "
    "account which Google refuses, as the server does. Exit status 0: nothing wrong; 1: a problem; 3: no "
    "problem, but a warning."
)
NOT_REACHED = "Not checked: first solve the problem above"


@dataclass(frozen=True, slots=True)
class Options:
    as_json: bool = False
    offline: bool = False
    demo: bool = False
    address: str = ""
    """`[HOST:]PORT` of the server; empty: the settings HOST and PORT."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help='print {"ok", "rows", "error"?} as JSON')
    parser.add_argument("--offline", action="store_true", help="ask nothing that is not on this machine")
    parser.add_argument(
        "addrport",
        nargs="?",
        default="",
        type=_address_text,
        metavar="[HOST:]PORT",
        help="where it listens; default: the server of this DATA_DIR, or the settings HOST and PORT",
    )


def _address_text(text: str) -> str:
    try:
        parse_address(text, "", 1)
    except NotAnAddress as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def run_before_django(arguments: Sequence[str]) -> None:
    """Run and exit, unless the arguments are for Django: help, its own options, or wrong ones."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    add_arguments(parser)
    parser.add_argument("--demo", action="store_true")
    try:
        read, others = parser.parse_known_args(arguments)
    except argparse.ArgumentError:
        return
    if not others:
        leave(examine(Options(read.json, read.offline, read.demo, read.addrport)))


def leave(status: int) -> None:
    """Exit without waiting for threads, in which a look-up of a name may hang for half a minute."""
    sys.stdout.flush()
    sys.stderr.flush()
    others = [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    if others:
        os._exit(status)
    sys.exit(status)


def examine(options: Options) -> int:
    """Run all checks and print what they find. Returns the exit status."""
    logging.disable(logging.CRITICAL)  # the findings say it
    reporter = Reporter(as_json=options.as_json)
    if _can_set_up(options, reporter.add):
        check_with_django(options, reporter.add)
    return reporter.end()


def _can_set_up(options: Options, report: Report) -> bool:
    """Check packages and settings, and set Django up. False when something lacks; that is reported."""
    found = [*_guarded("Python", packages.check_python), *_guarded("Packages", packages.check_packages)]
    if not _may_go_on(found, report):
        return False
    try:
        import django  # late, as all imports below

        from proxy_site.doctor import configuration

        found = configuration.load(demo=options.demo)
        if _is_good(found):
            django.setup()
    except Exception as error:  # a broken package can raise anything
        found = [_broken_set_up(error)]
    return _may_go_on(found, report)


def _may_go_on(found: Sequence[Finding], report: Report) -> bool:
    _report_all(found, report)
    if _is_good(found):
        return True
    report(findings.skipped("Everything else", NOT_REACHED))
    return False


def _broken_set_up(error: Exception) -> Finding:
    if isinstance(error, ImportError):
        return findings.problem("Packages", f"A package cannot be loaded: {error}.", packages.REINSTALL)
    return findings.unexpected("Configuration", error)


def check_with_django(options: Options, report: Report) -> None:
    """The checks that need settings."""
    from django.conf import settings

    from proxy_site.doctor import configuration, database, machine

    _report_all(_guarded("Disk", lambda: machine.check_disk(settings.DATA_DIR)), report)
    found = _guarded("Database", database.check_database)
    _report_all(found, report)
    has_tables = all(one.state is State.OK for one in found)
    if has_tables:
        _report_all(_guarded("Live settings", configuration.check_live_settings), report)
        _report_all(_guarded("Keys", database.check_keys), report)
    else:
        report(findings.skipped("Accounts", "Not checked: they are in the database"))
    _run_in_a_loop(check_network(options, report, with_accounts=has_tables))


async def check_network(options: Options, report: Report, *, with_accounts: bool) -> None:
    """The checks that wait for other processes and machines, all at once; each is reported as it ends."""
    from accounts.network import AccountsClient

    client = AccountsClient()
    checks = _of_this_machine(client, options)
    if options.offline:
        report(findings.skipped("Google", "Not asked, because of --offline"))
    else:
        checks |= _of_google(client, with_accounts=with_accounts)
    try:
        for done in asyncio.as_completed([_settled(name, check) for name, check in checks.items()]):
            _report_all(await done, report)
    finally:
        await client.close()


def _of_this_machine(client: AccountsClient, options: Options) -> Checks:
    from proxy_site.doctor import claude_code, server

    host, port = server.address(options.address)
    return {
        "Server": server.check_server(client, host, port),
        "Claude Code": claude_code.check_claude_code(client, host, port, offline=options.offline),
    }


def _of_google(client: AccountsClient, *, with_accounts: bool) -> Checks:
    from proxy_site.doctor import google, network

    accounts: Checks = {"Accounts": _accounts(client)} if with_accounts else {}
    return {
        "Proxy": network.check_proxy(),
        "Endpoints": network.check_endpoints(client),
        "OAuth client": google.check_client(client),
        **accounts,
    }


async def _accounts(client: AccountsClient) -> list[Finding]:
    from channels.db import database_sync_to_async

    from accounts.models import Account
    from proxy_site.doctor import google

    accounts = await database_sync_to_async(lambda: list(Account.objects.all()))()
    return await google.check_accounts(client, accounts) if accounts else [google.no_account()]


async def _settled(name: str, check: Coroutine[None, None, Finding | list[Finding]]) -> list[Finding]:
    """The findings of the check; one about itself when it fails."""
    try:
        found = await check
    except Exception as error:  # the other checks go on
        found = findings.unexpected(name, error)
    return found if isinstance(found, list) else [found]


def _guarded(name: str, check: Callable[[], Finding]) -> list[Finding]:
    try:
        return [check()]
    except Exception as error:  # the other checks go on
        return [findings.unexpected(name, error)]


def _run_in_a_loop(work: Coroutine[None, None, None]) -> None:
    """Like asyncio.run, but without waiting at the end for threads that look up names."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.run_until_complete(_cancel_all())
        loop.close()


async def _cancel_all() -> None:
    """End what an interruption has left."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _report_all(found: Iterable[Finding], report: Report) -> None:
    for finding in found:
        report(finding)


def _is_good(found: Iterable[Finding]) -> bool:
    return all(finding.state is not State.PROBLEM for finding in found)
