"""The operator's own answers to model names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ValidationError

from accounts.models import Revision
from gateway.models import ModelRoute
from gateway.routing.routes import Route, Routes, cycle_through
from tests.gateway.conftest import a_body, in_database

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from django.test import Client

    from proxy_site.emulator.server import EmulatorServer

OFFERED = ["a", "b", "c", "d", "e"]


def test_a_name_with_client_suffix_is_routed() -> None:
    routes = Routes({"mine": Route("a"), "mine[1m]": Route("b")})

    assert routes.route(" mine ").upstream_model == "a"
    assert routes.route("mine[1m]").upstream_model == "b"
    assert routes.route("mine[2h]").upstream_model == "a"
    assert routes.route("claude-code/mine[2h]").upstream_model == "a"
    assert routes.route("other") == Route()


def test_a_chain_has_at_most_three_offered_models() -> None:
    routes = Routes({"a": Route(fallback="b"), "b": Route(fallback="gone"), "gone": Route(fallback="d"),
                     "d": Route(fallback="e")})  # fmt: skip

    assert routes.fallback_chain("a", "a", OFFERED) == ["b", "d"]


def test_a_chain_that_runs_in_a_circle_ends() -> None:
    routes = Routes({"a": Route(fallback="b"), "b": Route(fallback="a")})

    assert routes.fallback_chain("a", "a", OFFERED) == ["b"]


def test_the_list_shows_pinned_first_routed_names_too_and_hidden_not() -> None:
    routes = Routes({"z": Route("a"), "c": Route(hidden=True), "d": Route(pinned=True)})

    assert routes.listed(OFFERED, OFFERED) == ["d", "a", "b", "e", "z"]


def test_a_name_routed_to_an_unlisted_model_is_listed() -> None:
    routes = Routes({"mine": Route("preview")})

    assert routes.listed(["plain"], ["plain", "preview"]) == ["mine", "plain"]


def test_a_name_routed_to_no_model_on_offer_is_not_listed() -> None:
    routes = Routes({"x": Route("gone"), "a": Route("gone", pinned=True)})

    assert routes.listed(OFFERED, OFFERED) == ["b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("name", "fallback", "others", "cycle"),
    [
        ("a", "b", {}, []),
        ("a", "a", {}, ["a", "a"]),
        ("a", "b", {"b": "a"}, ["a", "b", "a"]),
        ("a", "b", {"b": "c", "c": "b"}, ["a", "b", "c", "b"]),
        ("a", "b", {"b": "c", "c": ""}, []),
        ("a", "", {"b": "a"}, []),
    ],
)
def test_cycles_are_found(name: str, fallback: str, others: dict[str, str], cycle: list[str]) -> None:
    assert cycle_through(name, fallback, others) == cycle


@pytest.mark.django_db
def test_the_form_refuses_a_cycle_and_shows_it() -> None:
    ModelRoute.objects.create(client_name="a", fallback="b")

    with pytest.raises(ValidationError, match="b → a → b"):
        ModelRoute(client_name="b", fallback="a").full_clean()


def test_a_running_server_drops_routes_deleted_together(admin_client: Client) -> None:
    routes = [ModelRoute.objects.create(client_name=name, upstream_model="gone") for name in "ab"]
    before = Revision.current()

    admin_client.post(
        "/admin/gateway/modelroute/",
        {"action": "delete_selected", "_selected_action": [one.pk for one in routes], "post": "yes"},
    )

    assert not ModelRoute.objects.exists()
    assert Revision.current() > before


async def test_a_route_counts_within_a_second(client: httpx.AsyncClient, google: EmulatorServer) -> None:
    await in_database(ModelRoute.objects.create)(
        client_name="claude-opus-5-5", upstream_model="gemini-2.5-flash", pinned=True
    )
    await asyncio.sleep(1)

    response = await client.post("/v1/messages", json=a_body(model="claude-opus-5-5"))
    listed = (await client.get("/v1/models")).json()["data"]

    assert response.headers["x-upstream-model"] == "gemini-2.5-flash"
    assert response.json()["model"] == "claude-opus-5-5"
    assert (listed[0]["id"], listed[0]["display_name"]) == ("claude-opus-5-5", "Gemini 2.5 Flash")


async def test_a_route_to_a_missing_model_leaves_the_list_intact(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    await in_database(ModelRoute.objects.create)(client_name="gemini-3-flash", upstream_model="gone")
    await asyncio.sleep(1)

    listed = [one["id"] for one in (await client.get("/v1/models")).json()["data"]]

    assert "claude-sonnet-4-6" in listed
    assert "gemini-3-flash" not in listed
    assert (await client.get("/v1/models/gemini-3-flash")).status_code == 404


async def test_the_operators_fallback_steps_in_before_the_built_in_one(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: Callable[[str, Any], None]
) -> None:
    live_setting("FALLBACK", True)
    await in_database(ModelRoute.objects.create)(
        client_name="claude-sonnet-4-6", fallback="gpt-oss-120b-medium"
    )
    await asyncio.sleep(1)
    google.state.fault("quota_exhausted", model="claude-sonnet-4-6", times=None)

    response = await client.post("/v1/messages", json=a_body())

    assert response.headers["x-upstream-model"] == "gpt-oss-120b-medium"
