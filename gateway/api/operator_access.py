"""Authentication of the operator: by the session of the pages, or by HTTP Basic in scripts."""

from __future__ import annotations

import base64
import binascii
import logging
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import authenticate, get_user, get_user_model, user_logged_in, user_login_failed
from django.contrib.auth.backends import ModelBackend
from django.core.cache import cache
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from accounts.operators.passwords import guesser
from gateway.telemetry.noise import log_unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
    from django.contrib.sessions.backends.base import SessionBase

    Check = Callable[[HttpRequest, str, str], AbstractBaseUser | None]

logger = logging.getLogger(__name__)

REMEMBERED_SECONDS = 60


@receiver(user_login_failed)
def log_failed_login(request: HttpRequest | None, **kwargs: object) -> None:
    address = str(request.META.get("REMOTE_ADDR", "")) if request is not None else ""
    failed = "A login from %s failed: wrong name or password, or locked out after five of them"
    log_unauthenticated(logger, logging.WARNING, address, failed, address)


def is_operator(request: HttpRequest) -> bool:
    """Return True for the operator. Reads the database. Wrong passwords count towards the lockout of the
    login page."""
    return is_operator_user(_by_password(request, _log_in) or _by_session(request))


def is_operator_at_health(request: HttpRequest) -> bool:
    """Return what `is_operator` does, but with a count of wrong passwords and a lockout of its own, so that a
    monitor with an old password does not lock the login page."""
    return is_operator_user(_by_password(request, _check_quietly) or _by_session(request))


def is_operator_user(user: AbstractBaseUser | AnonymousUser) -> bool:
    return user.is_active and bool(getattr(user, "is_superuser", False))


def is_session_of_operator(session_key: str) -> bool:
    """Return whether the session belongs to an active operator now. Reads the database."""
    request = HttpRequest()
    request.session = _session(session_key)
    return is_operator_user(get_user(request))


def is_locked_out(request: HttpRequest) -> bool:
    """Return True after too many wrong passwords. Resets the mark that would make axes answer with its own
    page."""
    is_so = bool(getattr(request, "axes_locked_out", False))
    request.axes_locked_out = False  # type: ignore[attr-defined]  # what the middleware of axes looks at
    return is_so


def may_be_operator(request: HttpRequest) -> bool:
    """Return True when the request has credentials at all. Does not read the database."""
    return _basic(request) is not None or settings.SESSION_COOKIE_NAME in request.COOKIES


def _by_password(request: HttpRequest, check: Check) -> AbstractBaseUser | None:
    basic = _basic(request)
    if basic is None:
        return None
    name, password = basic
    known = get_user_model().objects.filter(username=name).first()
    key = salted_hmac("operator by password", f"{known.password}\0{password}").hexdigest() if known else ""
    if known is not None and cache.get(key) == known.pk:
        return known
    # Hashing takes a good part of a second by design, so a correct password is remembered.
    user = check(request, name, password)
    if user is not None:
        cache.set(key, user.pk, REMEMBERED_SECONDS)
    return user


def _log_in(request: HttpRequest, name: str, password: str) -> AbstractBaseUser | None:
    user = authenticate(request, username=name, password=password)
    if user is not None:
        user_logged_in.send(type(user), request=request, user=user)  # resets the count of wrong ones
    return user


def _check_quietly(request: HttpRequest, name: str, password: str) -> AbstractBaseUser | None:
    key = f"wrong-at-health:{guesser(request)}"
    cache.add(key, 0, settings.AXES_COOLOFF_TIME.total_seconds())
    if cache.get(key, 0) >= settings.AXES_FAILURE_LIMIT:
        return None
    user = ModelBackend().authenticate(request, username=name, password=password)
    if user is None:
        with suppress(ValueError):  # the lockout has just ended
            cache.incr(key)
    return user


def _by_session(request: HttpRequest) -> AbstractBaseUser | AnonymousUser:
    if not hasattr(request, "session"):  # an API request meets no middleware
        request.session = _session(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    return get_user(request)


def _session(key: str | None) -> SessionBase:
    store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    return store(key)


def _basic(request: HttpRequest) -> tuple[str, str] | None:
    """Parse name and password, which may contain colons. None for any other or a malformed header."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, password = decoded.partition(":")
    return (name, password) if colon else None
