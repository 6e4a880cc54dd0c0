"""Base URLs that keep failing are tried last."""

from __future__ import annotations

from gateway.upstreams.endpoint_health import EndpointHealth


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_base_url_that_keeps_failing_is_tried_last_for_a_while() -> None:
    clock = Clock()
    health = EndpointHealth(clock)

    for _ in range(4):
        health.failed("a")
    assert health.in_order(["a", "b"]) == ["a", "b"]
    health.failed("a")
    assert health.in_order(["a", "b"]) == ["b", "a"]
    clock.now += 31
    assert health.in_order(["a", "b"]) == ["a", "b"]


def test_one_answer_restores_trust() -> None:
    health = EndpointHealth(Clock())
    for _ in range(5):
        health.failed("a")

    health.succeeded("a")

    assert health.in_order(["a", "b"]) == ["a", "b"]
