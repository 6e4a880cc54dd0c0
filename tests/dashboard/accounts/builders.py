from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account, QuotaSnapshot
from gateway.models import RequestLog

if TYPE_CHECKING:
    from django.test import Client

SCRIPT = '<script>alert("1")</script>'
MODELS = ("claude-sonnet-4-6", "claude-opus-4-6", "gemini-3-flash")


def an_account(email: str = "ada@example.com", **fields: Any) -> Account:
    return Account.objects.create(
        **{"email": email, "sealed_credential": "-", "terms_accepted_at": timezone.now(), **fields}
    )


def keep_quota(account: Account, left: float = 0.4, minutes: int = 5) -> None:
    """Three snapshots of each model, the newest `minutes` old."""
    now = timezone.now()
    rows = [
        QuotaSnapshot(
            account=account,
            model_id=model,
            header_mode="cli" if model.startswith("gemini") else "antigravity",
            remaining_fraction=left + more,
            reset_at=now + timedelta(hours=4),
            taken_at=now - timedelta(minutes=ago + minutes),
            seen_at=now - timedelta(minutes=ago + minutes),
        )
        for model in MODELS
        for ago, more in ((60, 0.2), (30, 0.1), (0, 0.0))
    ]
    QuotaSnapshot.objects.bulk_create(rows)


def keep_request(account: Account, number: int = 1, **fields: Any) -> None:
    RequestLog.objects.create(
        **{
            "id": number,
            "instance_id": 1,
            "request_id": f"req_{number}",
            "started_at": timezone.now(),
            "client": "loopback",
            "account": account.email,
            "duration_seconds": 1.0,
            "status": 200,
            **fields,
        }
    )


def queries_of(client: Client, path: str) -> int:
    """How many queries the page costs, with those for session and user."""
    client.get(path)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


def logged() -> list[str]:
    """What the audit log holds, newest first."""
    return [entry.get_change_message() for entry in LogEntry.objects.all()]
