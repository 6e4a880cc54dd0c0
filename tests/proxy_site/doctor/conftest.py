"""A set-up in which doctor finds nothing wrong, in this process; tests break it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from accounts import live_settings
from accounts.models import Account
from proxy_site.doctor.checks import check_all
from proxy_site.doctor.findings import Finding, State
from tests.live_gateway import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django import Settings

    from proxy_site.emulator.server import EmulatorServer

GEMINI = "gemini-3-flash"


@dataclass
class SetUp:
    settings: Settings
    google: EmulatorServer
    environment: pytest.MonkeyPatch
    home: Path
    account: Account
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def examine(self, *, offline: bool = False) -> list[Finding]:
        found: list[Finding] = []
        check_all(found.append, address=f"127.0.0.1:{self.port}", offline=offline)
        return found

    def problems(self) -> list[Finding]:
        return [one for one in self.examine() if one.state in {State.PROBLEM, State.WARNING}]


@pytest.fixture
def set_up(
    transactional_db: None,
    google_settings: Settings,
    emulator: EmulatorServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[SetUp]:
    google_settings.DATA_DIR = tmp_path
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "claude"))
    account = Account(email="ada@example.com", terms_accepted_at=timezone.now())
    account.credential = {"refresh_token": emulator.state.account("ada@example.com").refresh_token}
    account.save()
    yield SetUp(google_settings, emulator, monkeypatch, tmp_path, account)
    Account.objects.all().delete()
    live_settings.reload()
