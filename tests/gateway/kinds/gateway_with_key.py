"""A gateway in a process of its own, with an account that is a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gateway.kinds.conftest import KEYS
from tests.live_gateway import LiveGateway, manage

if TYPE_CHECKING:
    from typing import Self


class GatewayWithKey(LiveGateway):
    """With a single account, which is a key."""

    kind = ""

    def __enter__(self) -> Self:
        url = ["--url", self._emulator.compatible_url("gateway")] if self.kind == "compatible" else []
        added = manage(
            *("addaccount", "--kind", self.kind, "--key-file", "-", *url),
            env=self.env,
            stdin=KEYS[self.kind].encode(),
        )
        assert added.returncode == 0, added.stderr.decode()
        self.start()
        return self
