"""The operator, `admin`: with the password WEBUI_PASSWORD, or one chosen by a one-time set-up link."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.utils import timezone

from accounts.models import SetUpLink

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet
    from django.http import HttpRequest

OPERATOR = "admin"
LINK_LIFETIME = timedelta(minutes=30)
IPV6_PREFIX = 64
"""So much of an address names the network; whoever has one can use all addresses in it."""


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


def network_of(request: HttpRequest) -> str:
    """By whom wrong passwords are counted: an IPv4 address, or the network of an IPv6 address."""
    text = str(request.META.get("REMOTE_ADDR") or "")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv4Address):
        return text
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False))


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
