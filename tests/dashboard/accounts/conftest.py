"""The accounts against the emulator, as in tests/accounts."""

from __future__ import annotations

from tests.accounts.conftest import ada, closed_listener, consent, google

__all__ = ["ada", "closed_listener", "consent", "google"]
