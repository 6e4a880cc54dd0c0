"""The control API, with which tests in other processes control the emulator: JSON over HTTP.

Each path is one method of ``EmulatorState`` with the same names for its parameters. Google has nothing like
it; it is served only when asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from proxy_site.emulator.accounts import sample_account
from proxy_site.emulator.delivery.behaviour import GOOD, Behaviour, combine, pace
from proxy_site.emulator.keyed.control import KEY_ACTIONS
from proxy_site.emulator.state import ALL_FAULTS, EmulatorState, Script, any_fault_named

if TYPE_CHECKING:
    from proxy_site.emulator.log import Entry

Json = dict[str, Any]
# The function of each path: from the state and the decoded body to the answer.
Action = Callable[[EmulatorState, Json], Json]

_MATCH = ("account", "model", "method", "purpose", "provider", "times")


def add_routes(router: web.UrlDispatcher, state: EmulatorState) -> None:
    for (verb, path), action in ACTIONS.items():
        router.add_route(verb, f"/_control{path}", _handler(state, action))


def _handler(state: EmulatorState, action: Action) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.Response:
        try:
            given = orjson.loads(await request.read() or b"{}")
            given = {**request.query, **request.match_info, **given}
            return _json(action(state, given))
        except (KeyError, TypeError, ValueError) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, status=400)

    return handle


def _json(body: Json, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


# Reading the state


def index(state: EmulatorState, given: Json) -> Json:
    paths = [f"{verb} /_control{path}" for verb, path in ACTIONS]
    return {"paths": paths, "faults": list(ALL_FAULTS), "pending_scripts": state.pending_scripts}


# Scripts


def add_reply(state: EmulatorState, given: Json) -> Json:
    """Add a reply: ``{"parts": ["text", {part}]}`` or ``{"chunks": [...]}``, with ``fault`` or ``faults``
    besides."""
    match = _match(given)
    if "chunks" in given:
        script = Script(_behaviour(given), chunks=given["chunks"], **match)
    else:
        parts = [{"text": part} if isinstance(part, str) else part for part in given["parts"]]
        script = Script(_behaviour(given), parts=parts, **match)
    state.add_script(script)
    return {"pending_scripts": state.pending_scripts}


def add_fault(state: EmulatorState, given: Json) -> Json:
    """Add a fault: ``{"fault": "stall_mid_stream", "seconds": 2, "account": ..., "times": 1}``."""
    if "fault" not in given and "faults" not in given:
        raise KeyError("fault")
    state.add_script(Script(_behaviour(given), **_match(given)))
    return {"pending_scripts": state.pending_scripts}


def _match(given: Json) -> Json:
    return {name: given[name] for name in _MATCH if name in given}


def _behaviour(given: Json) -> Behaviour:
    """Return the behaviour of one ``fault`` with its parameters beside it, or of ``faults``, a list of such
    objects."""
    faults = list(given.get("faults") or [])
    if "fault" in given:
        reserved = {*_MATCH, "parts", "chunks", "faults"}
        faults.insert(0, {name: value for name, value in given.items() if name not in reserved})
    named = [any_fault_named(**{"name": one["fault"], **_without_name(one)}) for one in faults]
    return combine(*named) if named else GOOD


def _without_name(fault: Json) -> Json:
    return {name: value for name, value in fault.items() if name != "fault"}


def clear_scripts(state: EmulatorState, given: Json) -> Json:
    state.clear_scripts()
    return {"pending_scripts": 0}


# Accounts


def list_accounts(state: EmulatorState, given: Json) -> Json:
    return {"accounts": [_shown_account(state, account.email) for account in state.accounts]}


def _shown_account(state: EmulatorState, email: str) -> Json:
    account, now = state.account(email), state.clock.now()
    quotas = {
        pool: {"limit": quota.limit, "remaining_fraction": quota.remaining_fraction(now)}
        for pool, quota in account.quotas.items()
    }
    hidden = {"quotas", "refresh_token"}
    shown = {name: value for name, value in vars(account).items() if name not in hidden}
    return {**shown, "quotas": quotas}


def add_account(state: EmulatorState, given: Json) -> Json:
    account = sample_account(
        given["email"],
        given.get("name") or given["email"],
        given.get("tier", "free-tier"),
        onboarded=given.get("onboarded", True),
    )
    state.add_account(account)
    return {"email": account.email, "refresh_token": account.refresh_token, "project": account.project}


def change_account(state: EmulatorState, given: Json) -> Json:
    """Change an account. ``action`` is one of revoke, restore, disable_by_provider, require_verification,
    take_licence, expire_tokens."""
    email, name = given["email"], given["action"]
    if name == "require_verification" and "url" in given:
        state.require_verification(email, given["url"])
    else:
        {
            "revoke": state.revoke,
            "restore": state.restore,
            "disable_by_provider": state.disable_by_provider,
            "require_verification": state.require_verification,
            "take_licence": state.take_licence,
            "expire_tokens": state.expire_tokens,
        }[name](email)
    return _shown_account(state, email)


def set_quota(state: EmulatorState, given: Json) -> Json:
    """Set a quota: ``{"email", "pool", "remaining": N or null, "limit"?, "reset_in"?: seconds}``."""
    state.set_quota(
        given["email"],
        given["pool"],
        remaining=given["remaining"],
        limit=given.get("limit"),
        reset_in=given.get("reset_in"),
    )
    return _shown_account(state, given["email"])


# Everything else


def change_settings(state: EmulatorState, given: Json) -> Json:
    """Change settings: ``token_lifetime_seconds``, ``minimum_client_version``, ``pace``: {chunk_delay,
    chunk_count}, ``web_search_models``: [ids]."""
    if "token_lifetime_seconds" in given:
        state.token_lifetime_seconds = float(given["token_lifetime_seconds"])
    if "minimum_client_version" in given:
        state.minimum_client_version = given["minimum_client_version"]
    if "web_search_models" in given:
        state.set_web_search_models(*given["web_search_models"])
    if "pace" in given:
        state.pace = pace(**given["pace"]) if given["pace"] else GOOD
    return {
        "token_lifetime_seconds": state.token_lifetime_seconds,
        "minimum_client_version": state.minimum_client_version,
    }


def advance_clock(state: EmulatorState, given: Json) -> Json:
    state.clock.advance(float(given["seconds"]))
    return {"now": state.clock.now()}


def show_log(state: EmulatorState, given: Json) -> Json:
    """List the log. ``?after=N`` leaves out earlier entries, ``?envelopes=no`` the bodies; ``?method=``
    selects a method."""
    after = int(given.get("after", 0))
    entries = [entry for entry in state.log.entries(given.get("method")) if entry.number > after]
    return {"entries": [_shown_entry(entry, given) for entry in entries], "received": state.log.received}


def _shown_entry(entry: Entry, given: Json) -> Json:
    return entry.as_json(with_envelope=given.get("envelopes") != "no")


def clear_log(state: EmulatorState, given: Json) -> Json:
    state.log.clear()
    return {}


def show_counters(state: EmulatorState, given: Json) -> Json:
    return {
        "received": state.log.received,
        "open_streams": state.log.open_streams,
        "open_connections": state.open_connections,
        "leaks": state.leaks,
        "pending_scripts": state.pending_scripts,
    }


ACTIONS: dict[tuple[str, str], Action] = {
    ("GET", "/"): index,
    ("POST", "/replies"): add_reply,
    ("POST", "/faults"): add_fault,
    ("DELETE", "/scripts"): clear_scripts,
    ("GET", "/accounts"): list_accounts,
    ("POST", "/accounts"): add_account,
    ("POST", "/accounts/{email}/quota"): set_quota,
    ("POST", "/accounts/{email}/{action}"): change_account,
    ("POST", "/settings"): change_settings,
    ("POST", "/clock"): advance_clock,
    ("GET", "/log"): show_log,
    ("DELETE", "/log"): clear_log,
    ("GET", "/counters"): show_counters,
    **KEY_ACTIONS,
}
