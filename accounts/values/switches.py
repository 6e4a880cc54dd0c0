"""The features of a server of kind "compatible": set by the operator, or learned from what it refuses.
Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from accounts.values.outside import as_object, whole_number, word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

AUTH_STYLES = ("bearer", "x-api-key", "both", "none")
MOST_BETAS = 50
LONGEST_BETA = 100


class NoSwitches(ValueError):
    """Raised for switches that are not valid. The text is a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Switches:
    """The switches of one server. The defaults suit most servers."""

    auth: str = ""
    """How the key is sent, one of AUTH_STYLES; "" for the style in the credential."""
    system_messages: bool = True
    """True when the server accepts messages of role "system"; else they are sent as messages of the user."""
    documents: bool = True
    thinking: bool = True
    blank_texts: bool = True
    betas: bool | tuple[str, ...] = False
    """Which values of `anthropic-beta` are sent: True for all, False for none, or only these."""
    trusted_usage: bool = False
    """True when clients get the usage that the server reports, unchanged."""
    count_tokens: bool = True
    """True when the server counts tokens; else the gateway estimates them."""
    max_requests: int = 0
    """The most concurrent requests, if fewer than MAX_CONCURRENT_REQUESTS; 0 for no limit of its own."""
    first_byte_seconds: int = 0
    """How long the first content may take; 0 for UPSTREAM_FIRST_BYTE_TIMEOUT_MS."""
    context_window: int = 0
    """The context window of each model in tokens; 0 for what the server's list of models says."""
    max_output_tokens: int = 0
    fixed: frozenset[str] = frozenset()
    """The names of the switches that the operator has set; what the server answers does not change them."""

    @classmethod
    def of(cls, learned: object, given: object) -> Switches:
        """Make the switches from stored values; `given` are the operator's and come first. Invalid values are
        left out."""
        ours, theirs = _valid(given), _valid(learned)
        return cls(**{**theirs, **ours}, fixed=frozenset(ours))

    def after(self, learned: Mapping[str, Any]) -> Switches:
        """Return the switches with values learned since, except where the operator has set one."""
        news = {name: value for name, value in learned.items() if name not in self.fixed}
        return replace(self, **news) if news else self

    def told(self) -> list[tuple[str, str, bool]]:
        """Return the name and the value of each switch that is set or has changed, and whether the operator
        has set it."""
        start = Switches()
        return [
            (one.name.replace("_", " "), _written(getattr(self, one.name)), one.name in self.fixed)
            for one in fields(self)
            if one.name != "fixed"
            and (one.name in self.fixed or getattr(self, one.name) != getattr(start, one.name))
        ]


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_betas(value: object) -> bool:
    if not isinstance(value, list | tuple):
        return _is_flag(value)
    return len(value) <= MOST_BETAS and all(word(one, LONGEST_BETA) and "," not in one for one in value)


def _whole_from_1_to(most: int) -> tuple[Callable[[Any], bool], str]:
    def is_one(value: Any) -> bool:
        return whole_number(value, 1, most) is not None

    return is_one, f"must be a whole number from 1 to {most}"


FLAG = "must be true or false"
RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "auth": (lambda value: value in AUTH_STYLES, f"must be one of {', '.join(AUTH_STYLES)}"),
    **dict.fromkeys(
        ("system_messages", "documents", "thinking", "blank_texts", "trusted_usage", "count_tokens"),
        (_is_flag, FLAG),
    ),
    **dict.fromkeys(("context_window", "max_output_tokens"), _whole_from_1_to(10**8)),
    "max_requests": _whole_from_1_to(1000),
    "first_byte_seconds": _whole_from_1_to(3600),
    "betas": (_is_betas, "must be true (all), false (none) or a list of names"),
}
"""For each switch, a function that tells whether a value is valid, and the message for one that is not."""


def checked(values: object) -> dict[str, Any]:
    """Return the operator's switches after checking them. Raises NoSwitches."""
    if not isinstance(values, dict):
        raise NoSwitches('They must have the form {"thinking": false}.')
    for name, value in values.items():
        if name not in RULES:
            raise NoSwitches(f"{name[:60]}: there is no such switch. There are {', '.join(RULES)}.")
        is_valid, rule = RULES[name]
        if not is_valid(value):
            raise NoSwitches(f"{name}: {rule}.")
    return values


def _valid(stored: object) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in as_object(stored).items()
        if name in RULES and RULES[name][0](value)
    }


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
