"""The accounts requests are sent with, and one number that says when any of them changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models
from django.db.models import F
from django.utils import timezone

from accounts.credentials import seal, unseal

if TYPE_CHECKING:
    from collections.abc import Iterable


class Account(models.Model):
    """One Google account the operator added. Usable: enabled, terms accepted, and in state OK."""

    class State(models.TextChoices):
        OK = "ok"
        INVALID = "invalid", "invalid: sign in again"
        NEEDS_VERIFICATION = "needs_verification", "Google asks to verify the account"
        DISABLED_BY_PROVIDER = "disabled_by_provider", "disabled by Google"
        NEEDS_PROJECT = "needs_project", "has no Cloud project"

    email = models.EmailField(unique=True)
    sealed_refresh_token = models.TextField(editable=False)
    project_id = models.CharField(max_length=200, blank=True)
    tier = models.CharField(max_length=20, default="unknown")
    enabled = models.BooleanField(default=True)
    priority = models.IntegerField(default=0, help_text="Lower comes first.")
    state = models.CharField(max_length=30, choices=State.choices, default=State.OK)
    state_reason = models.TextField(blank=True)
    state_link = models.URLField(max_length=2000, blank=True)
    state_since = models.DateTimeField(default=timezone.now)
    terms_accepted_at = models.DateTimeField(null=True, blank=True)
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["priority", "id"]

    def __str__(self) -> str:
        return self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        Revision.bump()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        deleted = super().delete(*args, **kwargs)
        Revision.bump()
        return deleted

    @property
    def refresh_token(self) -> str:
        """Decrypted; raises CredentialsUnreadable when the key is another one."""
        return unseal(self.sealed_refresh_token)

    @refresh_token.setter
    def refresh_token(self, value: str) -> None:
        self.sealed_refresh_token = seal(value)

    def enter_state(self, state: str, reason: str = "", link: str = "") -> None:
        """Sets the fields; the caller saves."""
        self.state, self.state_reason, self.state_link = state, reason, link
        self.state_since = timezone.now()


class Revision(models.Model):
    """A single row that counts changes, so that a running server notices what a command has done."""

    number = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)

    @classmethod
    def bump(cls) -> None:
        cls.objects.update_or_create(
            pk=1, defaults={"number": F("number") + 1}, create_defaults={"number": 1}
        )

    @classmethod
    def current(cls) -> int:
        return cls.objects.filter(pk=1).values_list("number", flat=True).first() or 0


def usable_accounts() -> Iterable[Account]:
    return Account.objects.filter(enabled=True, state=Account.State.OK, terms_accepted_at__isnull=False)
