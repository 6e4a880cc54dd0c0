"""The contents of a demo: accounts, their quotas and a day of requests at its start, and then live
requests."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from accounts import live_settings
from accounts.models import Account
from gateway.ledger import instances, rows_and_sums
from gateway.models import ModelRoute, ServerInstance
from proxy_site.demo.accounts import store_accounts
from proxy_site.demo.history import Day
from proxy_site.demo.keys import store_keys
from proxy_site.demo.traffic import Traffic
from proxy_site.demo.turns import HAIKU, OPUS, SONNET

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from gateway.ledger.record import RequestRecord
    from gateway.service import Gateway
    from proxy_site.emulator.state import EmulatorState


SEEN_AFTER_SECONDS = 20.0
"""How long a server runs on after its last request began, unless the next server begins sooner."""
FIRST_PROCESS = 4100
MAPPED = {
    "opus": OPUS.answers,
    "sonnet": SONNET.answers,
    "haiku": HAIKU.answers,
    HAIKU.asked_for: HAIKU.answers,
}
"""Names that the operator of the demo has mapped: Google's accounts answer them, as in the history, and not
the Anthropic key, which has newer versions."""


def write_example_data(google: EmulatorState) -> None:
    """Write the example data into a new database, for the accounts that the emulator has."""
    store_accounts(google)
    store_keys(google)
    ModelRoute.objects.bulk_create(
        ModelRoute(client_name=name, upstream_model=model) for name, model in MAPPED.items()
    )
    live_settings.change("FALLBACK", "true", by="the demo")  # as in its history
    records = Day(time.time()).records()
    store_requests(records)
    last_used = {record.account: record.started_at for record in records}
    for email, at in last_used.items():
        Account.objects.filter(email=email).update(last_used_at=datetime.fromtimestamp(at, UTC))


def store_requests(records: Sequence[RequestRecord]) -> None:
    """Store the records as those of two servers that have ended. The first one ended during its last
    request, the only one whose end is unknown."""
    last = next(number for number, record in enumerate(records, 1) if not record.has_ended)
    earlier, later = records[:last], records[last:]
    between_seconds = later[0].started_at - earlier[-1].started_at
    _store_of_one_server(earlier, min(SEEN_AFTER_SECONDS, between_seconds / 2))
    _store_of_one_server(later, SEEN_AFTER_SECONDS)


def _store_of_one_server(records: Sequence[RequestRecord], seen_after_seconds: float) -> None:
    server = instances.register("")
    for record_id, record in enumerate(records, server.first_request_id + 1):
        record.id = record_id
    rows_and_sums.store([rows_and_sums.entry_of(record, server.pk) for record in records], server.pk)
    instances.end(server.pk)  # closes the rows of requests without an end
    ended_at = datetime.fromtimestamp(records[-1].started_at + seen_after_seconds, UTC)
    ServerInstance.objects.filter(pk=server.pk).update(
        process_id=FIRST_PROCESS + server.pk,
        started_at=datetime.fromtimestamp(records[0].started_at, UTC),
        seen_at=ended_at,
        ended_at=ended_at,
    )


def traffic(gateway: Gateway, google: EmulatorState) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return the function that sends requests while the server runs."""
    return Traffic(gateway, google).run
