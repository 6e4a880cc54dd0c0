"""A gateway behind the gateway, which passes requests on, possibly to the gateway that sent them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import ClientSession, web

if TYPE_CHECKING:
    from proxy_site.emulator.exchange import Exchange

HOP_BY_HOP = frozenset({"host", "content-length", "connection", "transfer-encoding", "accept-encoding"})
CREDENTIALS = frozenset({"authorization", "x-api-key"})


@dataclass(frozen=True)
class Peer:
    """A gateway. With ``keeps_headers`` it passes on Via and the client's other headers, with a Via of its
    own. Most gateways drop what they do not know, so that a loop cannot be seen in the headers."""

    url: str
    key: str
    keeps_headers: bool = False

    def headers_for(self, exchange: Exchange, name: str) -> dict[str, str]:
        given = exchange.web_request.headers
        own = {"x-api-key": self.key, "anthropic-version": given.get("anthropic-version", "2023-06-01")}
        if not self.keeps_headers:
            return own
        kept = {k: v for k, v in given.items() if k.lower() not in HOP_BY_HOP | CREDENTIALS}
        via = ", ".join(part for part in (given.get("Via"), f"1.1 {name}") if part)
        return {**kept, **own, "Via": via}


async def pass_on(exchange: Exchange, peer: Peer, name: str) -> web.Response:
    """Send the body to the peer's address, and its answer back. ``name`` is this gateway's in Via."""
    headers = {"Content-Type": "application/json", **peer.headers_for(exchange, name)}
    async with (
        ClientSession() as session,
        session.post(f"{peer.url}/v1/messages", data=exchange.body, headers=headers) as answer,
    ):
        body = await answer.read()
    exchange.note(status=answer.status, outcome="passed on")
    return web.Response(status=answer.status, body=body, headers={"Content-Type": answer.content_type})
