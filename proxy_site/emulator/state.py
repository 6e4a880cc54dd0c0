"""The state of the emulator, behind one lock: accounts, tokens, scripts, log.

Tests use it as ``server.state``; the control API offers the same over HTTP. Every method may be called from
any thread, while requests are running.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from proxy_site.emulator import google_errors
from proxy_site.emulator.accounts import CLOUD_PLATFORM, Account, Quota, sample_accounts
from proxy_site.emulator.anthropic_api.faults import ANTHROPIC_FAULTS
from proxy_site.emulator.clock import Clock
from proxy_site.emulator.compatible.faults import COMPATIBLE_FAULTS
from proxy_site.emulator.compatible.modes import MODES
from proxy_site.emulator.delivery.behaviour import FAULTS, GOOD, Behaviour, combine
from proxy_site.emulator.gemini_api.faults import GEMINI_FAULTS
from proxy_site.emulator.keyed.keys import Keys, sample_keys
from proxy_site.emulator.log import Log
from proxy_site.emulator.methods.consent_refusals import PUBLIC_SCOPES
from proxy_site.emulator.pretend_model import replies
from proxy_site.emulator.pretend_model.signatures import Signatures
from proxy_site.emulator.pretend_model.tokenizer import TOKENIZERS, Tokenizers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proxy_site.emulator.compatible.peer import Peer
    from proxy_site.emulator.log import Entry, Purpose
    from proxy_site.emulator.models import HeaderMode, Model

Json = dict[str, Any]

SESSIONS_REMEMBERED = 1_000
THOUGHTS_REMEMBERED = 10_000


@dataclass
class AccessToken:
    email: str
    expires_at: float


@dataclass(eq=False)
class Script:
    """A scripted behaviour for the next ``times`` requests that match; None in a filter matches all.

    ``parts`` or ``chunks`` replace the brain's answer; ``chunks`` are sent unchanged.
    """

    behaviour: Behaviour = GOOD
    parts: list[replies.Part] | None = None
    chunks: list[Json] | None = None
    account: str | None = None
    model: str | None = None
    method: str | None = None
    purpose: Purpose | None = None
    provider: str | None = None
    times: int | None = 1
    was_added: bool = False

    def matches(self, entry: Entry) -> bool:
        wanted = "safeguards" if self.behaviour.wrong_decisions is not None else self.purpose
        return (
            self.method in {None, entry.method}
            and self.provider in {None, entry.provider}
            and self.account in {None, entry.account}
            and self.model in {None, entry.model}
            and wanted in {None, entry.purpose}
        )


GENERATE_METHODS = frozenset({"generateContent", "streamGenerateContent", "messages"})

ALL_FAULTS = {**FAULTS, **GEMINI_FAULTS, **ANTHROPIC_FAULTS, **COMPATIBLE_FAULTS}


def any_fault_named(name: str, **parameters: Any) -> Behaviour:
    """Return a fault of the delivery or of any provider, by its name."""
    if name not in ALL_FAULTS:
        raise ValueError(f"no fault is called {name!r}; there are {', '.join(ALL_FAULTS)}")
    return ALL_FAULTS[name](**parameters)


class EmulatorState:
    """The emulator's state. ``token_lifetime_seconds`` applies to tokens issued from now on; ``pace`` to
    every answer."""

    def __init__(
        self,
        *,
        accounts: Iterable[Account] | None = None,
        keys: Keys | None = None,
        clock: Clock | None = None,
        signatures: Signatures | None = None,
        tokenizers: Tokenizers | None = None,
        client_id: str = "emulator-client-id",
        client_secret: str = "emulator-client-secret",  # noqa: S107 -- known to everybody
        log_size: int = 1_000,
    ) -> None:
        self.clock = clock or Clock()
        self.keys = sample_keys() if keys is None else keys
        self.modes = dict(MODES)
        """The modes of each compatible server; a test may replace one."""
        self.peer: Peer | None = None
        """Where the compatible server "gateway" passes requests on to, if it answers none itself."""
        self.leaks: list[str] = []
        """The headers with credentials that arrived at a redirect's target."""
        self.signatures = signatures or Signatures()
        self.tokenizers = tokenizers or TOKENIZERS
        self.client_id = client_id
        self.client_secret = client_secret
        self.client_state = ""
        """``deleted_client`` or ``disabled_client``; empty for a working client."""
        self.client_scopes: frozenset[str] = PUBLIC_SCOPES
        """The scopes that the client may request."""
        self.registered_redirect_uris: frozenset[str] | None = None
        """The registered addresses of a web client; None for a desktop client, which may use any port of its
        machine."""
        self.refresh_tokens_of_other_clients: set[str] = set()
        self.token_lifetime_seconds = 3599.0
        self.minimum_client_version: str | None = None
        self.pace = GOOD
        self.log = Log(log_size)
        self.lock = threading.RLock()
        self.count_connections: Callable[[], int] = lambda: 0
        chosen = sample_accounts() if accounts is None else accounts
        self._accounts = {account.email: account for account in chosen}
        self._tokens: dict[str, AccessToken] = {}
        self._scripts: list[Script] = []
        self._bound_thoughts: OrderedDict[str, set[str]] = OrderedDict()
        self._prefixes: OrderedDict[tuple[str, str], set[bytes]] = OrderedDict()

    @property
    def open_connections(self) -> int:
        """The number of sockets that the server holds, busy or kept alive."""
        return self.count_connections()

    # Accounts

    @property
    def accounts(self) -> list[Account]:
        with self.lock:
            return list(self._accounts.values())

    def account(self, email: str) -> Account:
        with self.lock:
            return self._accounts[email]

    def add_account(self, account: Account) -> None:
        with self.lock:
            self._accounts[account.email] = account

    def account_with_refresh_token(self, refresh_token: str) -> Account | None:
        return next((one for one in self.accounts if one.refresh_token == refresh_token), None)

    def importable_accounts(self) -> list[Json]:
        """Return e-mail and refresh token of each account, in the form that `manage.py importaccounts`
        reads."""
        return [{"email": one.email, "refresh_token": one.refresh_token} for one in self.accounts]

    def revoke(self, email: str) -> None:
        """Revoke the permission, as the user can: refreshing fails, and so do the tokens in use."""
        with self.lock:
            self.account(email).revoked = True
            self.expire_tokens(email)

    def restore(self, email: str) -> None:
        """Undo everything that was done to an account."""
        with self.lock:
            account = self.account(email)
            account.revoked = account.disabled_by_provider = False
            account.verification_url, account.licensed = None, True
            account.consent_refusal, account.scopes = "", CLOUD_PLATFORM

    def disable_by_provider(self, email: str) -> None:
        self.account(email).disabled_by_provider = True

    def require_verification(
        self, email: str, url: str = "https://accounts.google.com/signin/continue?sarp=1"
    ) -> None:
        self.account(email).verification_url = url

    def take_licence(self, email: str) -> None:
        self.account(email).licensed = False

    def set_quota(
        self,
        email: str,
        pool: str,
        *,
        remaining: int | None,
        limit: int | None = None,
        reset_in: float | None = None,
    ) -> None:
        """Leave ``remaining`` requests until ``reset_in`` seconds from now; None: no limit."""
        with self.lock:
            quota = self.quota(email, pool)
            if remaining is None:
                quota.limit, quota.used, quota.reset_at = None, 0, None
                return
            quota.limit = max(limit or quota.limit or 0, remaining)
            quota.used = quota.limit - remaining
            seconds = quota.window_seconds if reset_in is None else reset_in
            quota.reset_at = self.clock.now() + seconds

    def lift_quotas(self) -> None:
        """Remove the limits of all accounts."""
        for account in self.accounts:
            for pool in account.quotas:
                self.set_quota(account.email, pool, remaining=None)

    def set_web_search_models(self, *model_ids: str) -> None:
        """List these models as searching the web for every account; without ids the list is absent."""
        for account in self.accounts:
            account.web_search_models = list(model_ids)

    def quota(self, email: str, pool: str) -> Quota:
        return self.account(email).quotas[pool]

    # Tokens

    def issue_access_token(self, email: str) -> tuple[str, float]:
        """Issue a token; returns it with its lifetime in seconds."""
        with self.lock:
            now, lifetime = self.clock.now(), self.token_lifetime_seconds
            self._tokens = {token: one for token, one in self._tokens.items() if one.expires_at > now}
            access_token = f"emulator-access-{secrets.token_hex(16)}"
            self._tokens[access_token] = AccessToken(email, now + lifetime)
            return access_token, lifetime

    def account_for_token(self, access_token: str) -> Account | None:
        with self.lock:
            token = self._tokens.get(access_token)
            if token is None or token.expires_at <= self.clock.now():
                return None
            return self._accounts.get(token.email)

    def expire_tokens(self, email: str | None = None) -> None:
        """Expire the tokens in use at once: of one account, or of all."""
        with self.lock:
            kept = {} if email is None else {t: one for t, one in self._tokens.items() if one.email != email}
            self._tokens = kept

    # Scripts

    def reply(
        self,
        *parts: replies.Part | str,
        behaviour: Behaviour = GOOD,
        account: str | None = None,
        model: str | None = None,
        purpose: Purpose | None = None,
        provider: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Answer the next matching model call with these parts; a string is a text part."""
        said = [replies.text(part) if isinstance(part, str) else part for part in parts]
        self.add_script(
            Script(
                behaviour,
                parts=said,
                account=account,
                model=model,
                purpose=purpose,
                provider=provider,
                times=times,
            )
        )

    def reply_chunks(
        self,
        chunks: list[Json],
        *,
        behaviour: Behaviour = GOOD,
        account: str | None = None,
        model: str | None = None,
        purpose: Purpose | None = None,
        provider: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Answer with exactly these chunks, whole envelopes as Google sends them."""
        self.add_script(
            Script(
                behaviour,
                chunks=chunks,
                account=account,
                model=model,
                purpose=purpose,
                provider=provider,
                times=times,
            )
        )

    def fault(
        self,
        fault: Behaviour | str,
        *more: Behaviour,
        account: str | None = None,
        model: str | None = None,
        method: str | None = None,
        purpose: Purpose | None = None,
        provider: str | None = None,
        times: int | None = 1,
        **parameters: Any,
    ) -> None:
        """Let the next matching requests fail: ``fault("stall_mid_stream", seconds=2, times=3)``.

        Without a ``method`` it applies to model calls only; others are named: "token", "loadCodeAssist", ...
        ``purpose="safeguards"`` selects the judge's calls, "answer" all others.
        """
        first = any_fault_named(fault, **parameters) if isinstance(fault, str) else fault
        behaviour = combine(first, *more)
        self.add_script(
            Script(
                behaviour,
                account=account,
                model=model,
                method=method,
                purpose=purpose,
                provider=provider,
                times=times,
            )
        )

    def add_script(self, script: Script) -> None:
        with self.lock:
            script.was_added = True
            self._scripts.append(script)

    def clear_scripts(self) -> None:
        with self.lock:
            self._scripts.clear()

    @property
    def pending_scripts(self) -> int:
        return len(self._scripts)

    def take_script(self, entry: Entry) -> Script | None:
        """Return the oldest script that matches a request, and count its use."""
        if not self._scripts:
            return None
        with self.lock:
            for script in self._scripts:
                meant = script.method is not None or entry.method in GENERATE_METHODS
                if meant and script.matches(entry):
                    self._use_up(script)
                    return script
        return None

    def give_back(self, script: Script) -> None:
        """Put a script back after a request that Google refuses, for the next one."""
        if not script.was_added:
            return
        with self.lock:
            if script not in self._scripts:
                self._scripts.insert(0, script)
            if script.times is not None:
                script.times += 1

    def _use_up(self, script: Script) -> None:
        if script.times is not None:
            script.times -= 1
            if script.times <= 0:
                self._scripts.remove(script)

    # Thoughts

    def bind_thought(self, signature: str, conversation: str) -> None:
        """Note the conversation after which a thought was issued. The same thought may have several."""
        with self.lock:
            self._bound_thoughts.setdefault(signature, set()).add(conversation)
            if len(self._bound_thoughts) > THOUGHTS_REMEMBERED:
                self._bound_thoughts.popitem(last=False)

    def may_follow(self, signature: str | None, conversation: str) -> bool:
        """Return True unless the thought is known, and only for other conversations."""
        with self.lock:
            bound = self._bound_thoughts.get(signature or "")
            return bound is None or conversation in bound

    # Quota and caching

    def take_quota(self, account: Account, model: Model, mode: HeaderMode) -> None:
        """Count one request, or refuse it with Google's 429."""
        with self.lock:
            now = self.clock.now()
            quota = account.quotas[model.pool(mode)]
            if not quota.take(now):
                raise google_errors.quota_exhausted(model.id, quota.resets_at(now), now)

    def count_prompt(self, model: Model, request: Json) -> tuple[int, int]:
        """Count the tokens of the prompt, and how many of them are cached from the same session.

        The cached prefix ends with the last turn that is the same, as with Google's implicit caching.
        """
        session_id = request.get("sessionId")
        tokenizer = self.tokenizers[model.family]
        preface = tokenizer.count_preface(request)
        contents = request.get("contents") or []
        counts = [tokenizer.count_content(content) for content in contents]
        if not session_id:
            return preface + sum(counts), 0
        digests = _prefix_digests(request, contents)
        with self.lock:
            seen = self._session(model.id, session_id)
            known = sum(1 for digest in digests if digest in seen)
            seen.update(digests)
        cached = preface + sum(counts[: known - 1]) if known else 0
        return preface + sum(counts), cached

    def _session(self, model_id: str, session_id: str) -> set[bytes]:
        key = (model_id, session_id)
        seen = self._prefixes.setdefault(key, set())
        self._prefixes.move_to_end(key)
        if len(self._prefixes) > SESSIONS_REMEMBERED:
            self._prefixes.popitem(last=False)
        return seen


def _prefix_digests(request: Json, contents: list[Json]) -> list[bytes]:
    """Return a digest of what precedes the conversation, then one after each of its turns."""
    running = hashlib.blake2b(digest_size=16)
    running.update(orjson.dumps([request.get("systemInstruction"), request.get("tools")]))
    digests = [running.digest()]
    for content in contents:
        running.update(orjson.dumps(content))
        digests.append(running.digest())
    return digests
