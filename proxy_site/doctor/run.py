"""Runs the checks in stages: each stage begins only when the one before allows it.

The modules of a stage are imported by name when it begins, because what they need (packages, settings, the
database) may be missing.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from proxy_site.doctor import findings, packages
from proxy_site.doctor.findings import Finding, guarded, is_good, report_all
from proxy_site.doctor.report import Reporter
from proxy_site.serving.address import NotAnAddress, parse_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy_site.doctor.findings import Report

HELP = (
    "Checks this machine, the settings, the database, the way to Google, the accounts, Claude Code and a "
    "running server, and says what to do about each problem. It changes nothing, except that it makes "
    "DATA_DIR and its keys where they are missing, and marks an account which Google refuses, as the server "
    "does. Exit status 0: nothing wrong; 1: a problem; 3: no problem, but a warning."
)
NOT_REACHED = "Not checked: first solve the problem above"


@dataclass(frozen=True, slots=True)
class Options:
    as_json: bool = False
    offline: bool = False
    demo: bool = False
    address: str = ""
    """The server's `[HOST:]PORT`; "" for the settings HOST and PORT."""


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
    """Exit without waiting for threads, in which the look-up of a name may hang for half a minute."""
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
    if _has_packages(reporter.add) and _has_settings(options, reporter.add):
        checks = import_module("proxy_site.doctor.checks")
        checks.check_all(reporter.add, address=options.address, offline=options.offline)
    return reporter.end()


def _has_packages(report: Report) -> bool:
    found = [*guarded("Python", packages.check_python), *guarded("Packages", packages.check_packages)]
    return _may_go_on(found, report)


def _has_settings(options: Options, report: Report) -> bool:
    """Read the settings and set Django up. Returns False when that fails, after reporting the reason."""
    try:
        found = import_module("proxy_site.doctor.configuration").load(demo=options.demo)
        if is_good(found):
            import_module("django").setup()
    except Exception as error:  # a broken package can raise anything
        found = [_broken_set_up(error)]
    return _may_go_on(found, report)


def _may_go_on(found: Sequence[Finding], report: Report) -> bool:
    report_all(found, report)
    if is_good(found):
        return True
    report(findings.skipped("Everything else", NOT_REACHED))
    return False


def _broken_set_up(error: Exception) -> Finding:
    if isinstance(error, ImportError):
        return findings.problem("Packages", f"A package cannot be loaded: {error}.", packages.REINSTALL)
    return findings.unexpected("Configuration", error)
