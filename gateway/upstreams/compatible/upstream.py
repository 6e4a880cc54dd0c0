"""Servers that use Anthropic's format, one for each account, at an address of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from accounts.anthropic.compatible_errors import compatible_error_in_stream, parse_compatible_error
from accounts.values.switches import Switches
from gateway.pass_through.body import Changes
from gateway.pass_through.signatures import Signer
from gateway.upstreams import counting
from gateway.upstreams.base import (
    ModelCall,
    PassedRequest,
    Passing,
    Upstream,
    UpstreamDialect,
    WireRequest,
)
from gateway.upstreams.compatible.refusals import learned_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.failures import UpstreamError
    from accounts.kinds.access import Access
    from accounts.pool.view import PooledAccount
    from gateway.routing.upstream_model import UpstreamModel
    from gateway.upstreams.transport import Transport

PATH = "/v1/messages"
MOST_BREAKPOINTS = 4


@dataclass(slots=True)
class _Known:
    """What this process knows about one account's server."""

    base_url: str = ""
    switches: Switches = field(default_factory=Switches)
    """The switches of the last request."""
    learned: dict[str, Any] = field(default_factory=dict)
    """The switches learned since this process started. The account of a request may be older than these."""
    style: str = "bearer"
    """How the key was sent with the last request."""


class CompatibleServer(Upstream):
    """The upstream of kind "compatible". `Access.details` has the "base_url" and the "auth" style."""

    dialect: ClassVar[UpstreamDialect] = "messages"

    def __init__(self, transport: Transport, first_byte_seconds: float) -> None:
        super().__init__(transport, first_byte_seconds)
        self._known: dict[int, _Known] = {}
        """What is known about each server, by account id."""

    def addresses_of(self, model: UpstreamModel, access: Access) -> list[str]:
        return [access.details["base_url"]]

    def passing(self, account: PooledAccount, model: UpstreamModel) -> Passing:
        if self._of(account.id).base_url != account.base_url:
            self._known[account.id] = _Known(account.base_url)
        known = self._of(account.id)
        switches = known.switches = account.switches.after(known.learned)
        changes = Changes(
            model.sent_id,
            Signer(f"other-{account.id}"),
            never_thinks=not switches.thinking,
            keeps_system_messages=switches.system_messages,
            keeps_documents=switches.documents,
            keeps_attribution=False,
            keeps_blank_texts=switches.blank_texts,
            keeps_fields_of_betas=bool(switches.betas),
            most_breakpoints=MOST_BREAKPOINTS,
        )
        return Passing(
            changes,
            betas=switches.betas,
            tags_signatures=True,
            mends_usage=not switches.trusted_usage,
            checks_calls=False,
            marks_hops=True,
        )

    async def count_tokens(self, call: ModelCall, address: str) -> int | None:
        if not self._of(call.account_id).switches.count_tokens:
            return None
        return await counting.counted(self._transport, address + counting.PATH, self.prepare(call))

    def learns_from(self, error: UpstreamError, account_id: int) -> Mapping[str, Any]:
        known = self._of(account_id)
        learned = learned_from(error, known.switches, known.style, known.learned)
        known.learned |= learned
        return learned

    def prepare(self, call: ModelCall) -> WireRequest:
        passed = call.passed or PassedRequest([], {})
        known = self._of(call.account_id)
        known.style = known.switches.auth or call.access.details.get("auth") or "bearer"
        return WireRequest(PATH, {**passed.headers, **_credential(known.style, call.access)}, passed.body)

    def classify(self, status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamError:
        return parse_compatible_error(status, body, headers, datetime.now(UTC))

    def classify_in_stream(self, body: dict[str, Any]) -> UpstreamError:
        return compatible_error_in_stream(body)

    def _of(self, account_id: int) -> _Known:
        return self._known.setdefault(account_id, _Known())


def _credential(style: str, access: Access) -> dict[str, str]:
    if not access.secret or style == "none":
        return {}
    headers = {"authorization": f"Bearer {access.secret}", "x-api-key": access.secret}
    left_out = {"bearer": "x-api-key", "x-api-key": "authorization"}.get(style)
    return {name: value for name, value in headers.items() if name != left_out}
