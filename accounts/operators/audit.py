"""Audit log of operators' actions, in Django's admin log (LogEntry); pages and commands write to it."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType

from accounts.models import Account

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User
    from django.db.models import Model

__all__ = ["ADDITION", "CHANGE", "DELETION", "record", "record_command"]

COMMAND_LINE = "command-line"
"""The inactive user under which commands are logged; it has no password."""


def record(who: User | AnonymousUser, what: str, subject: Model | None = None, flag: int = CHANGE) -> None:
    """Log an action. `what` is a sentence without secrets; `subject` the account or setting concerned, None
    for all accounts."""
    LogEntry.objects.create(
        user_id=who.pk or 0,
        content_type=ContentType.objects.get_for_model(subject or Account),
        object_id=str(subject.pk) if subject else None,
        object_repr=str(subject)[:200] if subject else "all accounts",
        action_flag=flag,
        change_message=what,
    )


def record_command(what: str, subject: Model | None = None, flag: int = CHANGE) -> None:
    user, _ = get_user_model().objects.get_or_create(username=COMMAND_LINE, defaults={"is_active": False})
    record(user, f"{what} ({_system_user()} at the terminal)", subject, flag)


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "a user without a name"
