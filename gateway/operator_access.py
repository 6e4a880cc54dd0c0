"""Who may see names and numbers: the operator, by the session of the pages, or by HTTP Basic in scripts."""

from __future__ import annotations

import base64
import binascii
from importlib import import_module
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import authenticate, get_user

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
    from django.http import HttpRequest


def is_operator(request: HttpRequest) -> bool:
    """Looks into the database, and counts wrong passwords as the login page does."""
    user = _by_password(request) or _by_session(request)
    return user.is_active and bool(getattr(user, "is_superuser", False))


def may_be_operator(request: HttpRequest) -> bool:
    """Whether it is worth asking: most requests bring nothing that could tell."""
    return _basic(request) is not None or settings.SESSION_COOKIE_NAME in request.COOKIES


def _by_password(request: HttpRequest) -> AbstractBaseUser | None:
    basic = _basic(request)
    if basic is None:
        return None
    return authenticate(request, username=basic[0], password=basic[1])


def _by_session(request: HttpRequest) -> AbstractBaseUser | AnonymousUser:
    if not hasattr(request, "session"):  # an API request meets no middleware
        engine = import_module(settings.SESSION_ENGINE)
        request.session = engine.SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    return get_user(request)


def _basic(request: HttpRequest) -> tuple[str, str] | None:
    """Name and password; the password may hold colons. What is no such header counts as none."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, password = decoded.partition(":")
    return (name, password) if colon else None
