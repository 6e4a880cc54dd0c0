"""The operator `admin`, with the password WEBUI_PASSWORD or one chosen by a one-time set-up link."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.utils import timezone

from accounts.models import SetUpLink
from accounts.values.caller_networks import network_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet
    from django.http import HttpRequest

OPERATOR = "admin"
LINK_LIFETIME = timedelta(minutes=30)


def has_operator() -> bool:
    operators = get_user_model().objects.filter(is_active=True, is_superuser=True)
    return any(operator.has_usable_password() for operator in operators)


def set_password(password: str) -> User:
    """Set the operator's password, creating the operator if needed. An unchanged password is not hashed anew,
    which would end the operator's sessions."""
    operator, _ = get_user_model().objects.get_or_create(username=OPERATOR)
    if not operator.check_password(password):
        operator.set_password(password)
    operator.is_active = operator.is_staff = operator.is_superuser = True
    operator.save()
    return operator


def guesser(request: HttpRequest) -> str:
    """Return the network whose wrong passwords are counted together. Used as django-axes'
    AXES_CLIENT_IP_CALLABLE."""
    return network_of(str(request.META.get("REMOTE_ADDR") or ""))


def new_set_up_token() -> str | None:
    """Create a set-up link's token; earlier tokens become invalid. None when there is an operator."""
    SetUpLink.objects.all().delete()
    if has_operator():
        return None
    token = secrets.token_urlsafe(24)
    SetUpLink.objects.create(token_hash=_hash(token), expires_at=timezone.now() + LINK_LIFETIME)
    return token


def is_set_up_token(token: str) -> bool:
    return _good_links(token).exists() and not has_operator()


def use_set_up_token(token: str, password: str) -> User | None:
    """Create the operator; None when the token is not valid. Of concurrent callers the one that deletes the
    token's row wins."""
    if not is_set_up_token(token) or _good_links(token).delete()[0] != 1:
        return None
    return set_password(password)


def _good_links(token: str) -> QuerySet[SetUpLink]:
    return SetUpLink.objects.filter(token_hash=_hash(token), expires_at__gt=timezone.now())


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
