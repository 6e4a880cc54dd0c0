"""The cost of one event in the queue: 1,000 requests wait, 50 accounts are busy.

    uv run benchmarks/account_queue.py [--waiting 1000] [--accounts 50] [--events 2000]

An event is a new request, an account that becomes free, a client that hangs up, a refused request, or the
wake-up timer. Each is repeated, and the queue is refilled outside of the measured time. The unit is CPU time,
on which other programs have little influence.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from accounts.pool.pool import Lease, NoAccount, Pool

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

MODELS = ("claude-sonnet-4-6:antigravity", "claude-opus-4-6-thinking:antigravity", "gemini-3-flash:cli")


class Bench:
    def __init__(self, waiting: int, accounts: int) -> None:
        from accounts.pool.pool import MAX_WAITING, AccountRequest, Pool, PooledAccount, Target

        targets = [Target(key, key.rpartition(":")[0]) for key in MODELS]
        self.requests = [AccountRequest({"google": target}) for target in targets]
        self.now = time.time()
        self.pool: Pool = Pool(lambda: self.now)
        self.pool.lists_model = lambda account_id, listed_id, model_key: account_id % 10 != 0
        self.pool.replace(
            [PooledAccount(n, f"user{n}@example.com", "project") for n in range(1, accounts + 1)]
        )
        self.waiting = min(waiting, MAX_WAITING - 1)
        self.came = self.turn = 0
        self.held: list[Lease] = []
        while lease := self.pool.lease(self.requests[0]):
            self.held.append(lease)
        self.fill()

    def fill(self) -> None:
        while self.pool.waiting < self.waiting:
            self.came += 1
            request = replace(self.requests[self.came % len(self.requests)], refused=self.excluded())
            self.pool.queue(request).answer.add_done_callback(self.hold)

    def hold(self, answer: asyncio.Future[Lease | NoAccount]) -> None:
        from accounts.pool.pool import Lease

        if not answer.cancelled() and isinstance(lease := answer.result(), Lease):
            self.held.append(lease)

    def excluded(self) -> set[int]:
        """Exclude an account for one request in five."""
        return {self.came % 7 + 1} if self.came % 5 == 0 else set()

    # The events

    def a_request_comes(self) -> None:
        if self.pool.lease(self.requests[0]) is not None:
            raise AssertionError("an account was free")

    def a_request_queues_and_hangs_up(self) -> None:
        waiter = self.pool.queue(self.requests[0])
        self.pool._queue.remove(waiter)

    def an_account_becomes_free(self) -> None:
        self.held.pop(0).release()

    def an_account_refuses(self) -> None:
        from accounts.failures import FailureKind

        self.now += 3  # concurrent failures count once
        self.turn += 1
        self.pool.failed(self.held[self.turn % len(self.held)], FailureKind.RATE_LIMIT, 1)

    def the_wake_up_timer_fires(self) -> None:
        self.pool.recheck()


async def measure(bench: Bench, event: Callable[[], None], times: int) -> list[float]:
    took = []
    for _ in range(times):
        began = time.thread_time()
        event()
        took.append(time.thread_time() - began)
        await asyncio.sleep(0)
        bench.fill()
    return sorted(took)


async def main(waiting: int, accounts: int, events: int) -> None:
    print(f"{waiting} waiting, {accounts} accounts; microseconds of CPU an event")
    for name in (
        "a_request_comes",
        "a_request_queues_and_hangs_up",
        "an_account_becomes_free",
        "an_account_refuses",
        "the_wake_up_timer_fires",
    ):
        bench = Bench(waiting, accounts)
        took = await measure(bench, getattr(bench, name), events)
        median, p99 = statistics.median(took) * 1e6, took[int(len(took) * 0.99)] * 1e6
        print(f"  {name.replace('_', ' '):32} median {median:7.1f}   p99 {p99:7.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--waiting", type=int, default=1000)
    parser.add_argument("--accounts", type=int, default=50)
    parser.add_argument("--events", type=int, default=2000)
    arguments = parser.parse_args()
    os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="queue-benchmark-")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proxy_site.settings")
    import logging

    import django

    django.setup()
    logging.disable(logging.CRITICAL)
    asyncio.run(main(arguments.waiting, arguments.accounts, arguments.events))
