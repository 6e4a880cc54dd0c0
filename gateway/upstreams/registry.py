"""The upstream of each kind of account. A new kind adds one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from gateway.upstreams.anthropic.upstream import AnthropicApi
from gateway.upstreams.cloud_code.upstream import CloudCode
from gateway.upstreams.compatible.upstream import CompatibleServer
from gateway.upstreams.gemini.upstream import GeminiApi

if TYPE_CHECKING:
    from gateway.upstreams.base import Upstream
    from gateway.upstreams.transport import Transport

UPSTREAMS: dict[str, type[Upstream]] = {
    "gemini": GeminiApi,
    "anthropic": AnthropicApi,
    "compatible": CompatibleServer,
    "google": CloudCode,
}
"""The upstream of each kind, by `Account.kind`. accounts/kinds/registry.py has the kinds themselves."""


def make_upstreams(transport: Transport) -> dict[str, Upstream]:
    first_byte_seconds = settings.UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS
    return {kind: upstream(transport, first_byte_seconds) for kind, upstream in UPSTREAMS.items()}
