"""Built-in resolution of model names, and the fallbacks of each model. Pure: ids of offered models are
arguments.

A name is matched with the offered models in any spelling (names.py). When no offered model has that version,
the nearest version of the same kind is used; when none of the kind is offered, the newest of a substitute
kind (STANDS_FOR).
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from gateway.routing.names import ModelName, Version, parse_model_name, plain_name
from gateway.routing.upstream_model import upstream_model

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from accounts.offers import ModelOffer

# Kind of model -> kinds used instead when no version of it is offered, best first.
STANDS_FOR: dict[str, tuple[str, ...]] = {
    "opus": ("sonnet", "gemini-pro"),
    "fable": ("opus", "sonnet", "gemini-pro"),
    "mythos": ("opus", "sonnet", "gemini-pro"),
    "sonnet": ("opus", "gemini-pro"),
    "haiku": ("gemini-flash", "sonnet", "opus"),
    "gemini-flash-lite": ("gemini-flash",),
}

# Kind -> kinds used when every account is at its limit, with FALLBACK on.
FALLBACKS: dict[str, tuple[str, ...]] = {
    "opus": ("gemini-pro", "sonnet"),
    "sonnet": ("gemini-flash", "gemini-pro"),
    "haiku": ("gemini-flash",),
    "gemini-pro": ("opus", "sonnet"),
    "gemini-flash": ("sonnet",),
}

MAX_HOPS = 3

# Google's internal models, such as those for completion in the editor, which users do not choose.
INTERNAL = re.compile(r"chat_\d+|tab_.*")

LONGEST_NAME = 200
NEWEST: Version = (99, 0)
THINKING_SUFFIX = "-thinking"
UNDATED = 99_999_999
_DATE = re.compile(r"[-@](20\d{6})(?!\d)")
# Preference among the ids of one version, best first: for a substitute kind, and for a Gemini model named
# without its level.
LEVELS = ("high", "", "medium", "preview", "low", "minimal")
LEVELS_UNASKED = ("", "preview", "low", "medium", "high", "minimal")


def resolve(client_name: str, offered: Collection[str], thinking: bool | None) -> str:
    """Return the upstream id for a client's name; an unknown name is returned unchanged.

    `thinking` is True when the request turns it on, False when off, None when it does neither. An offered id
    resolves to itself, or to its sibling with or without thinking when the request asks for that.
    """
    name = plain_name(client_name)
    if name in offered:
        return name if thinking is None else _sibling(name, offered, thinking)
    return name if len(name) > LONGEST_NAME else _stand_in(name, tuple(offered), thinking)


def exact(client_name: str, offered: Collection[str], thinking: bool | None) -> str | None:
    """Return the offered id of exactly the named model, in any spelling, with or without a date; None when it
    is not offered. `thinking` is that of `resolve`."""
    name = plain_name(client_name)
    if name in offered:
        return name if thinking is None else _sibling(name, offered, thinking)
    return None if len(name) > LONGEST_NAME else _same(name, tuple(offered), thinking)


@lru_cache(maxsize=256)
def _same(name: str, offered: tuple[str, ...], thinking: bool | None) -> str | None:
    asked = parse_model_name(name)
    wants_thinking = asked.thinking if thinking is None else thinking
    same = _those(offered, lambda one: one.canonical == asked.canonical)
    return _best(same, _levels(asked), wants_thinking) if same else None


@lru_cache(maxsize=256)
def _stand_in(name: str, offered: tuple[str, ...], thinking: bool | None) -> str:
    if (same := _same(name, offered, thinking)) is not None:
        return same
    asked = parse_model_name(name)
    wants_thinking = asked.thinking if thinking is None else thinking
    if asked.version is not None and (near := _nearest(asked.kind, asked.version, offered)):
        return _best(near, _levels(asked), wants_thinking)
    return _newest_of((asked.kind, *STANDS_FOR.get(asked.kind, ())), offered, wants_thinking) or name


def fallback_chain(model_id: str, offered: Collection[str], thinking: bool | None) -> list[str]:
    """Return the fallbacks in order, for when all accounts are at their limit for this model."""
    kinds = FALLBACKS.get(parse_model_name(model_id).kind, ())
    chain = [_newest_of((kind,), offered, thinking or False) for kind in kinds]
    return [substitute for substitute in dict.fromkeys(chain) if substitute][:MAX_HOPS]


def visible(offered: Iterable[str]) -> list[str]:
    """Return the ids to list. A preview is left out when its plain name is offered, too."""
    shown = sorted(model_id for model_id in offered if not INTERNAL.fullmatch(model_id))
    plain = {name.canonical for name in map(parse_model_name, shown) if name.level != "preview"}
    previews = _those(shown, lambda one: one.level == "preview" and one.canonical in plain)
    return [model_id for model_id in shown if model_id not in previews]


def offered_in_cli(
    listed: Mapping[str, ModelOffer], in_cli: Mapping[str, ModelOffer]
) -> Mapping[str, ModelOffer]:
    """Return the models offered in header mode cli: those of `in_cli` under their sent names, and the listed
    ones, of which Gemini models only if `in_cli` has them.

    `in_cli` has no limits, so those of the listed model with the same `sent_id` are used.
    """
    if not in_cli:
        return listed
    sent = {model_id: upstream_model(model_id, header_mode="cli") for model_id in listed}
    offered = {
        model_id: offer
        for model_id, offer in listed.items()
        if sent[model_id].family != "gemini" or sent[model_id].sent_id in in_cli
    }
    known = {sent[model_id].sent_id: offer for model_id, offer in offered.items()}
    return {**{one: _with_limits(offer, known.get(one)) for one, offer in in_cli.items()}, **offered}


def search_models(offered: Mapping[str, ModelOffer]) -> list[str]:
    """Return the models that search the web, the newest version first."""
    models = [model_id for model_id, offer in offered.items() if offer.searches_web]
    return sorted(models, key=lambda one: (-_number(parse_model_name(one).version), one))


def _with_limits(offer: ModelOffer, known: ModelOffer | None) -> ModelOffer:
    if known is None:
        return offer
    return replace(offer, max_input_tokens=known.max_input_tokens, max_output_tokens=known.max_output_tokens)


def _those(offered: Iterable[str], fits: Callable[[ModelName], bool]) -> list[str]:
    return [model_id for model_id in offered if fits(parse_model_name(model_id))]


def _nearest(kind: str, version: Version, offered: Iterable[str]) -> list[str]:
    """Return the ids of the nearest offered version; of two equally near ones, those of the newer."""
    members = _those(offered, lambda one: one.kind == kind)
    numbers = {_number(parse_model_name(one).version) for one in members}
    nearest = min(numbers, key=lambda one: (abs(one - _number(version)), -one), default=0)
    return _those(members, lambda one: _number(one.version) == nearest)


def _number(version: Version | None) -> int:
    """Return a number to compare versions by: major * 100 + minor; 0 for None."""
    return version[0] * 100 + version[1] if version else 0


def _newest_of(kinds: tuple[str, ...], offered: Collection[str], thinking: bool) -> str | None:
    for kind in kinds:
        if kind and (members := _nearest(kind, NEWEST, offered)):
            return _best(members, LEVELS, thinking)
    return None


def _levels(asked: ModelName) -> tuple[str, ...]:
    return (asked.level, *LEVELS_UNASKED) if asked.level else LEVELS_UNASKED


def _best(model_ids: Iterable[str], levels: tuple[str, ...], thinking: bool) -> str:
    def rank(model_id: str) -> tuple[int, bool, int, str]:
        name = parse_model_name(model_id)
        return levels.index(name.level), name.thinking != thinking, -_date(model_id), model_id

    return min(model_ids, key=rank)


def _date(model_id: str) -> int:
    """Return the date in an id of Anthropic's, such as 20250929. An id without a date names the newest
    version."""
    found = _DATE.search(model_id)
    return int(found[1]) if found else UNDATED


def _sibling(model_id: str, offered: Collection[str], thinking: bool) -> str:
    """Return the offered model that differs only in thinking, or the model itself."""
    plain = model_id.removesuffix(THINKING_SUFFIX)
    wanted = plain + THINKING_SUFFIX if thinking else plain
    return wanted if wanted in offered else model_id
