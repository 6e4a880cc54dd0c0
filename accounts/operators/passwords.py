"""The operator, `admin`: with the password WEBUI_PASSWORD, or one chosen by a one-time set-up link."""

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
    """The operator, made if there is none; nothing is written when this is the password already."""
    operator, _ = get_user_model().objects.get_or_create(username=OPERATOR)
    if not operator.check_password(password):
        operator.set_password(password)
    operator.is_active = operator.is_staff = operator.is_superuser = True
    operator.save()
    return operator


def guesser(request: HttpRequest) -> str:
    """By whom wrong passwords are counted."""
    return network_of(str(request.META.get("REMOTE_ADDR") or ""))


def new_set_up_token() -> str | None:
    """For the address in the server's banner; earlier ones stop working. None when there is an operator."""
    SetUpLink.objects.all().delete()
    if has_operator():
        return None
    token = secrets.token_urlsafe(24)
    SetUpLink.objects.create(token_hash=_hash(token), expires_at=timezone.now() + LINK_LIFETIME)
    return token


def is_set_up_token(token: str) -> bool:
    return _good_links(token).exists() and not has_operator()


def use_set_up_token(token: str, password: str) -> User | None:
    """The new operator; None when the link was used meanwhile: who deletes its row has it."""
    if not is_set_up_token(token) or _good_links(token).delete()[0] != 1:
        return None
    return set_password(password)


def _good_links(token: str) -> QuerySet[SetUpLink]:
    return SetUpLink.objects.filter(token_hash=_hash(token), expires_at__gt=timezone.now())


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
