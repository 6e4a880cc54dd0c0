"""Every kind of account has an upstream."""

from __future__ import annotations

from gateway.upstreams.base import Upstream
from gateway.upstreams.registry import UPSTREAMS, make_upstreams
from gateway.upstreams.transport import Transport


def test_each_row_makes_an_upstream() -> None:
    upstreams = make_upstreams(Transport(1))

    assert upstreams.keys() == UPSTREAMS.keys()
    assert all(isinstance(one, Upstream) for one in upstreams.values())
