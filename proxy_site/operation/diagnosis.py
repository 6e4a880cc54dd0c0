"""The bundle of one request: what the ledger, the log and the settings have about it, to be passed on.

It contains no secrets, no prompts and no addresses. Columns and settings are listed one by one, texts go
through `anonymous.py`, and names that a client chose are shown only if they are those of known models.
"""

from __future__ import annotations

import platform
import re
import socket
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.credentials import encryption
from accounts.live_settings import all_settings
from accounts.models import Account, QuotaSnapshot
from dashboard.requests.explanation import explain
from gateway.ledger.record import tokens_of
from gateway.ledger.search import LARGEST_PAGE, Search, attempts_of_all, page
from gateway.models import ModelRoute
from gateway.telemetry.log_format import HIDDEN
from proxy_site.data_dir import KEY_FILE
from proxy_site.environment import is_secret
from proxy_site.operation.anonymous import ADDRESS, Anonymizer, is_public
from proxy_site.operation.log_lines import TRACEBACK, lines_of
from proxy_site.settings import env

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.models import RequestAttempt, RequestLog
    from proxy_site.operation.log_lines import Line

VERSION = 1
"""The version of the bundle's form."""
MOST_REQUESTS = 20
"""The most requests of one id, since ids that clients choose may be used more than once."""
OUR_ID = re.compile(r"req_[0-9a-f]{24}")
PACKAGES = ("aiohttp", "channels", "cryptography", "orjson", "uvicorn", "uvloop")
FACTS = (
    *("started_at", "request_class", "is_stream", "fallback", "problem", "status", "stop_reason", "attempts"),
    *("waited_seconds", "first_event_seconds", "duration_seconds", "request_bytes", "response_bytes"),
)
WORDS_SHOWN = {
    *("GEMINI_HEADER_MODE", "ACCOUNT_STRATEGY", "LOG_LEVEL", "LOG_FORMAT", "DEFAULT_THINKING_LEVEL"),
    *("CLOUDCODE_CLIENT_VERSION", "TZ"),
}
"""Settings whose value is a word and is shown. Of others only numbers and booleans are shown."""
PRIVATE = {"OAUTH_CLIENT_ID", "SYSTEM_PREAMBLE"}
BOOLEANS = {"true", "false", "yes", "no", "on", "off"}
NOTE = (
    "Without secrets, prompts, answers and addresses. Accounts are numbered; names of models that are not "
    "known here, ids that a client chose, and quoted texts are left out. Settings are those of the command."
)


def bundle(request_id: str, logs: Iterable[Iterable[str]]) -> dict[str, Any]:
    """Return the bundle of the request with this whole id, as JSON values. `logs` are log files, which have
    its lines among others."""
    rows = page(Search(request_id=request_id), limit=LARGEST_PAGE)[:MOST_REQUESTS]
    attempts = attempts_of_all(rows)
    models = _known_models()
    accounts = {account.pk: account for account in Account.objects.all()}
    words = _words(request_id, rows, models) | _projects(accounts.values())
    anonymizer = Anonymizer({key: one.name for key, one in accounts.items()}, words)
    return {
        "bundle": VERSION,
        "note": NOTE,
        "made_at": timezone.now(),
        "request_id": _shown_id(request_id),
        "versions": _versions(),
        "settings": _settings(),
        "requests": [_request(row, attempts[row.pk], anonymizer, models) for row in rows],
        "accounts": {
            anonymizer.account(one.name): {"kind": one.kind, "state": one.state, "enabled": one.enabled}
            for one in accounts.values()
        },
        "log": [_line(line, anonymizer) for line in lines_of(request_id, *logs)],
    }


def _request(
    row: RequestLog, attempts: Sequence[RequestAttempt], anonymizer: Anonymizer, models: set[str]
) -> dict[str, Any]:
    found = explain(row, attempts, (timezone.now() - row.started_at).total_seconds())
    return {
        **{name: getattr(row, name) for name in FACTS},
        **tokens_of(row).as_shown(),
        "has_session": bool(row.session_id),
        "client_model": _model(row.client_model, models),
        "upstream_model": _model(row.upstream_model, models),
        "account": anonymizer.account(row.account),
        "endpoint": anonymizer.text(row.endpoint),
        "error": anonymizer.message(row.error),
        "explanation": [
            anonymizer.message(text)
            for text in (found.course, found.sentence, found.detail, found.advice, found.further)
            if text
        ],
        "tries": [_attempt(row, one, anonymizer, models) for one in attempts],
    }


def _attempt(
    row: RequestLog, attempt: RequestAttempt, anonymizer: Anonymizer, models: set[str]
) -> dict[str, Any]:
    return {
        "account": anonymizer.account(attempt.account),
        "model": _model(attempt.model, models),
        "endpoint": anonymizer.text(attempt.endpoint),
        "began_after_seconds": (attempt.started_at - row.started_at).total_seconds(),
        "waited_seconds": attempt.waited_seconds,
        "took_seconds": attempt.took_seconds,
        "reason": anonymizer.message(attempt.reason),
        "decision": attempt.decision,
        **tokens_of(attempt).as_shown(),
    }


def _line(line: Line, anonymizer: Anonymizer) -> dict[str, str]:
    shown = anonymizer.traceback if line.level == TRACEBACK else anonymizer.message
    return {**line._asdict(), "message": shown(line.message)}


def _known_models() -> set[str]:
    routed = ModelRoute.objects.values_list("upstream_model", "fallback")
    listed = QuotaSnapshot.objects.values_list("model_id", flat=True).distinct()
    return {*listed, *(name for names in routed for name in names)}


def _model(name: str, models: set[str]) -> str:
    return name if name in models or not name else f"(a name of {len(name)} characters)"


def _shown_id(request_id: str) -> str:
    is_ours = OUR_ID.fullmatch(request_id) is not None
    return request_id if is_ours else f"(chosen by the client, {len(request_id)} characters)"


def _words(request_id: str, rows: Iterable[RequestLog], models: set[str]) -> dict[str, str]:
    """Return the texts to replace wherever they occur: names of the client's and of this machine, values of
    settings."""
    words = {
        str(settings.DATA_DIR): "[DATA_DIR]",
        str(settings.BASE_DIR): "[project]",
        str(Path.home()): "~",
        socket.gethostname(): ADDRESS,
        **dict.fromkeys(_hosts(), ADDRESS),
        **dict.fromkeys((*encryption.keys(), _generated_key()), HIDDEN),
        **{env.text(name): HIDDEN for name in env.names if is_secret(name) or name in PRIVATE},
    }
    for row in rows:
        names = (row.client_model, row.upstream_model, row.session_id)
        words |= {name: _model(name, models) for name in names if name not in models}
    return words | {request_id: _shown_id(request_id)}


def _generated_key() -> str:
    """Return the key that the server generated for clients, which is not a setting here; "" without one."""
    with suppress(OSError, UnicodeDecodeError):
        return (Path(settings.DATA_DIR) / KEY_FILE).read_text(encoding="utf-8").strip()
    return ""


def _hosts() -> set[str]:
    """Return the hosts in settings, except Google's and this machine's."""
    names = {*settings.ALLOWED_HOSTS, str(connection.settings_dict.get("HOST") or "")}
    addresses = (env.text(name) for name in env.names)
    names |= {urlsplit(one).hostname or "" for one in addresses if one.startswith(("http://", "https://"))}
    return {name for name in names - {"localhost", "127.0.0.1", "[::1]", "*"} if not is_public(name)}


def _projects(accounts: Iterable[Account]) -> dict[str, str]:
    return {one.project_id: "[project id]" for one in accounts if one.project_id}


def _versions() -> dict[str, str]:
    installed = {one.metadata["Name"].lower(): one.version for one in metadata.distributions()}
    return {
        "gateway": settings.VERSION,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "database": connection.vendor,
        "django": django.get_version(),
        **{name: installed[name] for name in PACKAGES if name in installed},
    }


def _settings() -> dict[str, str]:
    """Return the settings that differ from their defaults."""
    given = {name: env.text(name) for name in env.names if env.has(name)}
    changed = {one.name: str(one.value) for one in all_settings() if one.source == "operator"}
    return {name: _shown(name, value) for name, value in sorted((given | changed).items())}


def _shown(name: str, value: str) -> str:
    is_plain = value.lower() in BOOLEANS or value.replace(".", "", 1).isdigit()
    return value if not is_secret(name) and (is_plain or name in WORDS_SHOWN) else "(set)"
