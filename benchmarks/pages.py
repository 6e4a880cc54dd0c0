"""What the dashboard's pages cost: `uv run benchmarks/pages.py`.

A ledger of 300,000 requests in 30 days and 50 accounts with their quotas; each page is asked for once, and
then ten times more in this process. No request runs meanwhile, and nothing is sent over a socket.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/pages.py` puts only this folder there

import django  # noqa: E402

from benchmarks.gateway_server import environment, import_accounts  # noqa: E402
from benchmarks.ledger import MODELS, fill  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.report import machine, table  # noqa: E402

if TYPE_CHECKING:
    from django.test import Client

DAYS = 30
MEASURED_EVERY = timedelta(minutes=20)
QUOTA_HISTORY = timedelta(hours=12)
PAGES = {
    "/": (15, 80),
    "/?span=1h": (15, 80),
    "/?span=30d": (15, 80),
    "/requests": (7, 25),
    "/requests?account=account-07@example.com&errors=1": (7, 25),
    "/requests/req_000000000777": (6, 15),
    "/accounts?as=cards": (8, 60),
    "/accounts?as=table": (8, 60),
    "/accounts/{account}": (9, 40),
    "/models": (8, 60),
    "/usage?by=client&span=7d": (7, 200),
    "/usage?by=session": (7, 200),
    "/logs": (2, 10),
    "/connect": (5, 20),
    "/settings": (4, 20),
    "/system": (8, 60),
}
"""The most queries and milliseconds that the design allows each page; of /system it says nothing."""


@dataclass(frozen=True, slots=True)
class Cost:
    page: str
    queries: int
    milliseconds: float
    cpu_milliseconds: float
    kilobytes: float

    def row(self) -> list[str]:
        queries, milliseconds = PAGES[self.page]
        return [
            f"`{self.page}`",
            f"{self.queries} (≤ {queries})",
            f"{self.milliseconds:.1f} (≤ {milliseconds})",
            f"{self.cpu_milliseconds:.1f}",
            f"{self.kilobytes:.0f}",
        ]


def main() -> None:
    arguments = _parser().parse_args()
    emails = [f"account-{number:02}@example.com" for number in range(arguments.accounts)]
    with tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as name:
        folder = Path(name)
        import_accounts(folder, [{"email": email, "refresh_token": f"1//{email}"} for email in emails])
        fill(folder / "data" / "proxy.sqlite3", arguments.rows, DAYS, emails)
        os.environ.update({**environment(folder), "DJANGO_SETTINGS_MODULE": "proxy_site.settings"})
        django.setup()
        costs = _measure(arguments.times)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps([asdict(cost) for cost in costs], indent=1))
    title = f"{machine()}; {arguments.rows:,} requests over {DAYS} days, {arguments.accounts} accounts"
    header = ["page", "queries", "ms, p50", "CPU ms", "kB"]
    print(f"{title}\n\n{table(header, [one.row() for one in costs])}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=300_000, help="requests in the ledger")
    parser.add_argument("--accounts", type=int, default=50)
    parser.add_argument("--times", type=int, default=10, help="how often each page is asked for")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    return parser


def _measure(times: int) -> list[Cost]:
    # Only now are the settings known.
    from django.test import Client

    from accounts.models import Account
    from accounts.operators import passwords

    _store_quotas()
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(passwords.set_password("a long and good one"))
    account = Account.objects.order_by("pk")[0].pk
    costs = []
    for page in PAGES:
        costs.append(_cost_of(client, page, page.format(account=account), times))
        say(f"{page}: {costs[-1].milliseconds:.1f} ms")
    return costs


def _cost_of(client: Client, page: str, path: str, times: int) -> Cost:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection):
        client.get(path)  # templates are loaded, forecasts and long spans kept
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(path)
    count = len(queries)  # before another request empties the log of them
    if answer.status_code != 200:
        raise SystemExit(f"{path}: {answer.status_code}")
    took, took_cpu = [], []
    for _ in range(times):
        started, cpu_started = time.perf_counter(), time.process_time()
        client.get(path)
        took.append(time.perf_counter() - started)
        took_cpu.append(time.process_time() - cpu_started)
    kilobytes = len(answer.content) / 1000
    return Cost(page, count, statistics.median(took) * 1000, statistics.median(took_cpu) * 1000, kilobytes)


def _store_quotas() -> None:
    """Half a day of snapshots of each model, as they are stored while an account is used, windows of five
    hours and a week, a cooldown for every tenth account, and the models as names that are mapped to
    themselves, since no account tells its models here."""
    from django.utils import timezone

    from accounts.models import Account, Cooldown, QuotaSnapshot, QuotaWindow
    from gateway.models import ModelRoute

    choice, now = random.Random(16), timezone.now()
    moments = [now - ago * MEASURED_EVERY for ago in range(QUOTA_HISTORY // MEASURED_EVERY)][::-1]
    offered = [(f"{model}-{number}", model) for number in range(4) for model in MODELS]
    for index, account in enumerate(Account.objects.all()):
        left = [1 - choice.random() * (place % 15) / 15 for place in range(len(moments))]
        read = timedelta(seconds=6 * index)  # accounts are read in turn
        QuotaSnapshot.objects.bulk_create(
            QuotaSnapshot(
                account=account, model_id=name, remaining_fraction=fraction,
                header_mode="cli" if model.startswith("gemini") else "antigravity",
                reset_at=now + timedelta(minutes=17 * (1 + index % 15)),
                taken_at=at - read, seen_at=at - read,
            )
            for name, model in offered
            for at, fraction in zip(moments, left, strict=True)
        )  # fmt: skip
        QuotaWindow.objects.bulk_create(
            QuotaWindow(
                account=account, family=family, span=span, remaining_fraction=choice.random(),
                reset_at=now + timedelta(hours=hours), taken_at=now - read, seen_at=now - read,
            )
            for family in ("claude", "gemini")
            for span, hours in (("5h", 3), ("weekly", 80))
        )  # fmt: skip
        if index % 10 == 0:
            until = now + timedelta(hours=1)
            key = f"{offered[0][0]}:antigravity"
            Cooldown.objects.create(account=account, model_key=key, until=until, kind="QUOTA", reason="quota")
    ModelRoute.objects.bulk_create(ModelRoute(client_name=name, upstream_model=name) for name, _ in offered)


if __name__ == "__main__":
    main()
