from __future__ import annotations

from tests.gateway.conftest import client, gateway, google, live_setting

__all__ = ["client", "gateway", "google", "live_setting"]
