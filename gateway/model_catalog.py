"""Which upstream model answers to which client name, and what steps in for it.

Claude Code asks for names the upstream does not have (`claude-opus-5-5`, dated ids). The tables say which
kinds of model may answer to a word in such a name, best first; the newest of a kind is taken. Pure: what
is on offer comes in as ids.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# A kind of model is a pattern over upstream ids.
KINDS: dict[str, re.Pattern[str]] = {
    "opus": re.compile(r"claude-.*opus"),
    "sonnet": re.compile(r"claude-.*sonnet"),
    "haiku": re.compile(r"claude-.*haiku"),
    "gemini-pro": re.compile(r"gemini-.*pro(?!.*image)"),
    "gemini-flash": re.compile(r"gemini-.*flash(?!.*(?:image|lite))"),
}

# Word in the client's name -> kinds that may answer, best first.
STANDS_FOR: dict[str, tuple[str, ...]] = {
    "opus": ("opus", "sonnet", "gemini-pro"),
    "fable": ("opus", "sonnet", "gemini-pro"),
    "sonnet": ("sonnet", "opus", "gemini-pro"),
    "haiku": ("gemini-flash", "haiku", "sonnet", "opus"),
}

# Kind -> kinds that step in when every account is at its limit, with FALLBACK on.
STEPS_IN: dict[str, tuple[str, ...]] = {
    "opus": ("gemini-pro", "sonnet"),
    "sonnet": ("gemini-flash", "gemini-pro"),
    "haiku": ("gemini-flash",),
    "gemini-pro": ("opus", "sonnet"),
    "gemini-flash": ("sonnet",),
}

MAX_HOPS = 3

# Google's own helpers (completion in the editor and the like); nobody picks them.
INTERNAL = re.compile(r"chat_\d+|tab_.*")

CLIENT_SUFFIX = re.compile(r"\[\d+[mhd]\]$", re.IGNORECASE)
DATE_SUFFIX = re.compile(r"-\d{8}$")
THINKING_SUFFIX = "-thinking"
# Of two ids of the same version the one further left wins.
LEVELS = ("-high", "", "-medium", "-preview", "-low", "-minimal")


def resolve(client_name: str, offered: Collection[str], thinking: bool | None) -> str:
    """The upstream id for a client's name; a name no table knows comes back as it is.

    `thinking`: True when the request switches it on, False when off, None when it says nothing. An id on
    offer stands for itself, but for its sibling with or without thinking when the request says so.
    """
    name = CLIENT_SUFFIX.sub("", client_name.strip())
    for candidate in (name, DATE_SUFFIX.sub("", name)):
        if candidate in offered:
            return candidate if thinking is None else _sibling(candidate, offered, thinking)
    for word, kinds in STANDS_FOR.items():
        if word in name.lower() and (found := _newest_of(kinds, offered, thinking or False)):
            return found
    return name


def fallback_chain(model_id: str, offered: Collection[str], thinking: bool | None) -> list[str]:
    """The models that take over, in this order, when all accounts are at their limit for this one."""
    kinds = next((STEPS_IN[kind] for kind, pattern in KINDS.items() if pattern.match(model_id)), ())
    chain = [_newest_of((kind,), offered, thinking or False) for kind in kinds]
    return [substitute for substitute in dict.fromkeys(chain) if substitute][:MAX_HOPS]


def visible(offered: Iterable[str]) -> list[str]:
    return sorted(model_id for model_id in offered if not INTERNAL.fullmatch(model_id))


def _newest_of(kinds: tuple[str, ...], offered: Collection[str], thinking: bool) -> str | None:
    for kind in kinds:
        members = [model_id for model_id in offered if KINDS[kind].match(model_id)]
        if members:
            return _sibling(max(members, key=_rank), offered, thinking)
    return None


def _rank(model_id: str) -> tuple[tuple[int, ...], int]:
    """Newest version first, then the level; numbers such as 120b are no version."""
    plain = model_id.removesuffix(THINKING_SUFFIX)
    level = next((at for at, suffix in enumerate(LEVELS) if suffix and plain.endswith(suffix)), 1)
    numbers = re.findall(r"(?<![a-z\d])\d+(?![a-z\d])", plain)
    return tuple(int(number) for number in numbers), -level


def _sibling(model_id: str, offered: Collection[str], thinking: bool) -> str:
    """The same model with or without thinking, if it is on offer."""
    plain = model_id.removesuffix(THINKING_SUFFIX)
    wanted = plain + THINKING_SUFFIX if thinking else plain
    return wanted if wanted in offered else model_id
