"""The paths of the control API for API keys. Each takes the state and the decoded body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy_site.emulator.keyed.keys import ApiKey
from proxy_site.emulator.keyed.limits import LIMITS, Limits
from proxy_site.emulator.refusal import Refusal

if TYPE_CHECKING:
    from proxy_site.emulator.refusal import Json
    from proxy_site.emulator.state import EmulatorState


def list_keys(state: EmulatorState, given: Json) -> Json:
    """List all keys, without their secrets."""
    return {"keys": [_shown(key) for key in state.keys]}


def _shown(key: ApiKey) -> Json:
    return {
        "name": key.name,
        "provider": key.provider,
        "group": key.group.name,
        "limits": _limits_of(key.limits),
        "group_limits": _limits_of(key.group.limits),
        "refused_with": None if key.refusal is None else key.refusal.status,
    }


def _limits_of(limits: Limits) -> Json:
    return {name: getattr(limits, name) for name in LIMITS}


def add_key(state: EmulatorState, given: Json) -> Json:
    """Add a key: ``{"name", "provider", "secret", "group"}``; an existing group is shared."""
    if given["provider"] not in {"gemini", "anthropic", "compatible"}:
        raise ValueError(f"no provider of keys is called {given['provider']!r}")
    key = ApiKey(given["name"], given["provider"], given["secret"], state.keys.group(given["group"]))
    state.keys.add(key)
    return _shown(key)


def remove_key(state: EmulatorState, given: Json) -> Json:
    state.keys.remove(given["name"])
    return list_keys(state, given)


def set_limits(state: EmulatorState, given: Json) -> Json:
    """Set limits of the key, or, with ``"of": "group"``, of its group: ``{"requests_per_minute"?,
    "input_tokens_per_minute"?, "requests_per_day"?}``, each a number or null."""
    key = state.keys[given["name"]]
    limits = key.group.limits if given.get("of") == "group" else key.limits
    for name in LIMITS:
        if name in given:
            setattr(limits, name, None if given[name] is None else int(given[name]))
    return _shown(key)


def refuse_key(state: EmulatorState, given: Json) -> Json:
    """Answer each request with the key as ``{"status", "body"}`` says from now on; without a body the key is
    restored."""
    body = given.get("body")
    state.keys.refuse(given["name"], Refusal(int(given.get("status", 403)), body) if body else None)
    return _shown(state.keys[given["name"]])


KEY_ACTIONS = {
    ("GET", "/keys"): list_keys,
    ("POST", "/keys"): add_key,
    ("DELETE", "/keys/{name}"): remove_key,
    ("POST", "/keys/{name}/limits"): set_limits,
    ("POST", "/keys/{name}/refuse"): refuse_key,
}
