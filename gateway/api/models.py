"""The list of models and single models, for clients of Anthropic's and of OpenAI's API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.api.application import ApiRequest, ApiResponse, JsonResponse
from gateway.api.endpoint import endpoint
from gateway.errors import InvalidRequest, NotFound
from gateway.routing import resolution
from gateway.routing.names import alias_of
from gateway.routing.release_dates import released_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.offers import ModelOffer

MAX_MODELS_PAGE = 1000
DEFAULT_MODELS_PAGE = 20
OTHER_OWNERS = {"gemini": "google"}
"""The names of owners of models, by kind of account, where they differ from the kind."""
PICKER_OF_CLAUDE_CODE = "claude-code/"
"""The beginning of the User-Agent with which Claude Code fills its model picker."""


@endpoint("GET", "HEAD")
async def models(request: ApiRequest) -> ApiResponse:
    offered = await request.gateway.relay.offered_models()
    names = request.gateway.routes.listed(resolution.visible(offered), offered)
    if request.headers.get("user-agent", "").startswith(PICKER_OF_CLAUDE_CODE):
        names = [alias_of(name) for name in names]
    page = _page(names, request.GET.get("after_id"), request.GET.get("before_id"), _limit(request))
    body = {
        "object": "list",
        "data": [
            _model_object(request, name, offered[_upstream_id(request, name, offered)]) for name in page
        ],
        "has_more": _has_more(names, page, backwards="before_id" in request.GET),
        "first_id": page[0] if page else None,
        "last_id": page[-1] if page else None,
    }
    return JsonResponse(body)


@endpoint("GET", "HEAD")
async def model(request: ApiRequest, model_id: str) -> ApiResponse:
    """Return one model, found by its id or by an alias, under the name that was asked for."""
    offered = await request.gateway.relay.offered_models()
    offer = offered.get(_upstream_id(request, model_id, offered))
    if offer is None:
        there = ", ".join(request.gateway.routes.listed(resolution.visible(offered), offered))
        raise NotFound(f"model: {model_id} is not known here. There is: {there}.")
    return JsonResponse(_model_object(request, model_id, offer))


def _upstream_id(request: ApiRequest, name: str, offered: Mapping[str, ModelOffer]) -> str:
    routed = request.gateway.routes.route(name).upstream_model
    return routed or resolution.resolve(name, offered, thinking=None)


def _model_object(request: ApiRequest, model_id: str, offer: ModelOffer) -> dict[str, Any]:
    """Return Anthropic's and OpenAI's fields together. Claude Code shows 100 characters of `description`."""
    released = released_at(offer.id)
    return {
        "type": "model",
        "object": "model",
        "id": model_id,
        "display_name": offer.display_name,
        "description": _description(offer),
        "created_at": f"{released:%Y-%m-%dT%H:%M:%SZ}",
        "created": int(released.timestamp()),
        "lifecycle": "active",
        "owned_by": _owner(request, offer),
        "max_input_tokens": offer.max_input_tokens,
        "max_tokens": offer.max_output_tokens,
    }


def _owner(request: ApiRequest, offer: ModelOffer) -> str:
    """Return the owner of the model. If several kinds of account serve it, the kind that is asked first
    counts."""
    offers = request.gateway.relay.choice.offers()
    kind = next((kind for kind, listed in offers.items() if offer.id in listed), "google")
    return OTHER_OWNERS.get(kind, kind)


def _description(offer: ModelOffer) -> str:
    limit = offer.max_input_tokens
    return f"answered by {offer.id}" + (f", context of {limit:,} tokens" if limit else "")


def _limit(request: ApiRequest) -> int:
    text = request.GET.get("limit", str(DEFAULT_MODELS_PAGE))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_MODELS_PAGE):
        raise InvalidRequest(f"limit: must be a whole number from 1 to {MAX_MODELS_PAGE}.")
    return int(text)


def _page(names: list[str], after: str | None, before: str | None, limit: int) -> list[str]:
    """Return one page. A cursor that is not in the list counts as its end."""
    if before is not None:
        return names[: names.index(before) if before in names else len(names)][-limit:]
    if after is not None:
        names = names[names.index(after) + 1 if after in names else len(names) :]
    return names[:limit]


def _has_more(names: list[str], page: list[str], *, backwards: bool) -> bool:
    if not page:
        return False
    return page[0] != names[0] if backwards else page[-1] != names[-1]
