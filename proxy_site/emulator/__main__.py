"""``python -m proxy_site.emulator``: the emulator as a process of its own."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

import orjson

from proxy_site.emulator.accounts import Account, Quota, sample_accounts
from proxy_site.emulator.models import POOLS
from proxy_site.emulator.pretend_model.signatures import Signatures
from proxy_site.emulator.server import EmulatorServer
from proxy_site.emulator.state import EmulatorState

DESCRIPTION = """\
Stands in for providers on a loopback port: Google's OAuth and v1internal methods, the Gemini API, the
Anthropic API, and servers that speak Anthropic's format; with accounts, keys, quotas and a small brain that
answers. Prints the settings that make a gateway use it, addresses and keys, then serves until Ctrl-C.
"""
EPILOG = """\
The file of --accounts is a JSON list of objects: email, and optionally name, tier (free-tier, g1-pro-tier,
g1-ultra-tier), refresh_token, project (null: must be onboarded first) and requests (a limit for each pool).
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m proxy_site.emulator",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on; default: any free one")
    parser.add_argument(
        "--accounts", type=Path, metavar="FILE", help="accounts to know; default: three samples"
    )
    parser.add_argument("--control", action="store_true", help="serve the control API under /_control/")
    parser.add_argument("--unlimited", action="store_true", help="let no quota run down (for load tests)")
    parser.add_argument("--secret", help="secret of the thought signatures; keep it to honour old ones")
    return parser


def read_accounts(path: Path) -> list[Account]:
    return [_account(row) for row in orjson.loads(path.read_bytes())]


def _account(row: dict[str, object]) -> Account:
    email = str(row["email"])
    short_name = email.partition("@")[0]
    project = row.get("project", f"emulator-project-{short_name}")
    tier = row.get("tier", "free-tier")
    if tier not in {"free-tier", "g1-pro-tier", "g1-ultra-tier"}:
        raise ValueError(f"{email}: unknown tier {tier!r}")
    account = Account(
        email=email,
        name=str(row.get("name", email)),
        tier=tier,
        refresh_token=str(row.get("refresh_token", f"emulator-refresh-{short_name}")),
        project=None if project is None else str(project),
    )
    if "requests" in row:
        account.quotas = {pool: Quota(int(str(row["requests"]))) for pool in POOLS}
    return account


def build_state(options: argparse.Namespace) -> EmulatorState:
    accounts = read_accounts(options.accounts) if options.accounts else sample_accounts()
    signatures = Signatures(options.secret) if options.secret else None
    state = EmulatorState(accounts=accounts, signatures=signatures)
    if options.unlimited:
        state.lift_quotas()
    return state


def describe(server: EmulatorServer) -> str:
    lines = [f"The emulator listens on {server.url}", ""]
    lines += [f"{name}={value}" for name, value in server.gateway_settings().items()]
    lines += ["", orjson.dumps(server.state.importable_accounts()).decode(), ""]
    lines += [f"Gemini API: {server.gemini_api_url}", f"Anthropic API: {server.anthropic_api_url}"]
    lines += [f"Anthropic's format: {server.compatible_url(mode)}" for mode in server.state.modes]
    lines += ["", *(f"{key.name:<18} {key.secret}" for key in server.state.keys), ""]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    options = build_parser().parse_args(arguments)
    try:
        server = EmulatorServer(build_state(options), port=options.port, with_control=options.control)
        server.start()
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"The emulator cannot start: {error}\n")
        return 1
    asked_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_stop.set())
    sys.stdout.write(describe(server))
    sys.stdout.flush()
    asked_to_stop.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
