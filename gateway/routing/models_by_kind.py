"""Decides which model answers a name at each kind of account. Pure: the offers of each kind are arguments.

When any kind offers the named model itself, only that model is used. When none does, each kind that offers a
substitute (another version or kind of model, gateway/routing/resolution.py) is asked for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.routing import resolution
from gateway.routing.names import LEVELS, parse_model_name, plain_name
from gateway.routing.upstream_model import CLOUD_CODE, UpstreamModel, upstream_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from accounts.offers import ModelOffer
    from gateway.routing.upstream_model import HeaderMode

    Offers = Mapping[str, ModelOffer]

SERVES_ANY_NAME = "compatible"
"""The kind of account whose servers may answer to any name with whatever model they have, so that they are
asked only for names in their lists."""


def models_by_kind(
    name: str, offers: Mapping[str, Offers], *, is_routed: bool, thinking: bool | None, mode: HeaderMode
) -> dict[str, UpstreamModel]:
    """Return the model of each kind that can answer; a model with the given name when no list has it.

    `name` is the client's, or the id that a route names (`is_routed`). The result is empty when no kind may
    be asked.
    """
    ids = _ids(name, offers, is_routed=is_routed, thinking=thinking)
    return {kind: _model(ids[kind], name, kind, offers[kind], mode) for kind in offers if kind in ids}


def _ids(
    name: str, offers: Mapping[str, Offers], *, is_routed: bool, thinking: bool | None
) -> dict[str, str]:
    if list(offers) == [CLOUD_CODE]:
        return {CLOUD_CODE: name if is_routed else resolution.resolve(name, offers[CLOUD_CODE], thinking)}
    if found := _exact(name, offers, thinking):
        return found
    union = list(dict.fromkeys(model_id for listed in offers.values() for model_id in listed))
    if not is_routed and (found := _exact(resolution.resolve(name, union, thinking), offers, thinking)):
        return found
    plain = name if is_routed else plain_name(name)
    return {kind: plain for kind in offers if kind != SERVES_ANY_NAME or not offers[kind]}


def _exact(name: str, offers: Mapping[str, Offers], thinking: bool | None) -> dict[str, str]:
    found = {kind: resolution.exact(name, listed, thinking) for kind, listed in offers.items()}
    return {kind: model_id for kind, model_id in found.items() if model_id is not None}


def _model(model_id: str, name: str, kind: str, offered: Offers, mode: HeaderMode) -> UpstreamModel:
    # A route may have the model's name in another header mode.
    offer = offered.get(model_id)
    if offer is None and kind == CLOUD_CODE:
        offer = offered.get(upstream_model(model_id, header_mode=mode).listed_id)
    model = upstream_model(
        model_id,
        kind=kind,
        header_mode=mode,
        max_output_tokens=offer.max_output_tokens if offer else None,
        max_input_tokens=offer.max_input_tokens if offer else None,
    )
    return model if kind == CLOUD_CODE else _with_level(model, name)


def _with_level(model: UpstreamModel, name: str) -> UpstreamModel:
    """Return the model with the level in the client's name ("gemini-3-pro-high") as an option, unless the
    model's id has a level already."""
    level = parse_model_name(name).level
    is_option = model.family == "gemini" and level in LEVELS and not parse_model_name(model.sent_id).level
    return replace(model, thinking_level=level) if is_option else model


def is_offered(models: Iterable[UpstreamModel], offers: Mapping[str, Offers]) -> bool:
    """Return True when a list has one of the models."""
    return any(model.listed_id in offers.get(model.kind, ()) for model in models)
