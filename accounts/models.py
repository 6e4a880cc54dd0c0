"""Accounts, their quotas, cooldowns and settings. Each change that a running server must use bumps Revision,
which the server reads twice a second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.credentials.encryption import seal_fields, unseal_fields
from accounts.values.switches import Switches
from accounts.values.times import minute

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
THRESHOLD_RULES = [MinValueValidator(0.0), MaxValueValidator(0.99)]


class AccountQuerySet(models.QuerySet["Account"]):
    def usable(self) -> Self:
        """Return the accounts that requests may be sent with. `Account.is_usable` is the same test for one
        account."""
        return self.filter(_USABLE)

    def unusable(self) -> Self:
        return self.exclude(_USABLE)


class Followed(models.Model):
    """Rows whose changes running servers must notice: saving or deleting one bumps Revision."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        Revision.bump()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        deleted = super().delete(*args, **kwargs)
        Revision.bump()
        return deleted


def _budget(period: str) -> models.DecimalField[Decimal | None, Decimal | None]:
    return models.DecimalField(
        f"budget a {period}",
        max_digits=9,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=f"In dollars. When the account has cost that much in a {period} of the server's time zone, "
        "it cools down until the next one. Calls whose price is not known do not count. Empty: none.",
    )


class Account(Followed):
    """An account that requests are sent with. It is usable when enabled, with accepted terms, and in state
    OK.

    `kind` is a key of accounts/kinds/registry.py and decides which fields the credential has. Exactly one of
    `email` and `given_name` is filled: the former where the provider names the owner.
    """

    class State(models.TextChoices):
        OK = "ok", "OK"
        INVALID = "invalid", "Sign-in expired"
        NEEDS_VERIFICATION = "needs_verification", "Google asks to verify it"
        DISABLED_BY_PROVIDER = "disabled_by_provider", "Disabled by Google"
        NEEDS_PROJECT = "needs_project", "Has no Cloud project"

    kind = models.CharField(max_length=20, default="google", db_default="google", editable=False)
    email = models.EmailField("e-mail", blank=True, default="", db_default="")
    given_name = models.CharField(max_length=100, default="", db_default="", editable=False)
    """The gateway's name for an account without an e-mail address, such as "Gemini key 1". It never
    changes."""
    label = models.CharField(
        "name",
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text="Shown on pages; empty: the e-mail, or the name that the account was given.",
    )
    fingerprint = models.CharField(max_length=64, default="", db_default="", editable=False)
    """A hash of the credential and the address, so that the same key is not added twice."""
    base_url = models.CharField(
        "address", max_length=500, blank=True, default="", db_default="", editable=False
    )
    """The server's address, for kinds whose accounts each have an address of their own."""
    quota_group = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text="The same name for accounts whose keys belong to one project or organisation: a limit of "
        "one puts them all in cooldown.",
    )
    sealed_credential = models.TextField(editable=False)
    project_id = models.CharField(
        "Cloud project", max_length=200, blank=True, help_text="Found by itself; set it only to override."
    )
    tier = models.CharField(max_length=20, default="unknown")
    """The tier in Google's words for a Google account; "free", "paid" or "unknown" for a key."""
    enabled = models.BooleanField(default=True, help_text="Requests are sent with enabled accounts only.")
    priority = models.IntegerField(default=0, help_text="Lower comes first.")
    quota_threshold = models.FloatField(
        null=True,
        blank=True,
        validators=THRESHOLD_RULES,
        help_text="Spare this account from this remaining fraction down (0 to 0.99), while another has more. "
        "Empty: the setting GLOBAL_QUOTA_THRESHOLD.",
    )
    model_quota_thresholds = models.JSONField(
        default=dict,
        blank=True,
        help_text='The same for single models, which then decides: {"gemini-3-flash": 0.2}.',
    )
    given_switches = models.JSONField(
        "switches",
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        blank=True,
        help_text='What the server takes, where it is not left to be learned: {"thinking": false, "betas": '
        '["context-1m-2025-08-07"]}. All names: docs/upstreams.md. What stands here wins.',
    )
    """The operator's switches, for kind "compatible" (accounts/values/switches.py)."""
    learned_switches = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField()), editable=False
    )
    budget_day = _budget("day")
    budget_month = _budget("month")
    state = models.CharField(max_length=30, choices=State.choices, default=State.OK)
    state_reason = models.TextField("reason", blank=True)
    state_link = models.URLField("Google's page for it", max_length=2000, blank=True)
    state_since = models.DateTimeField("in this state since", default=timezone.now)
    terms_accepted_at = models.DateTimeField("terms accepted", null=True, blank=True)
    last_used_at = models.DateTimeField("last used", null=True, blank=True)
    added_at = models.DateTimeField("added", auto_now_add=True)

    objects = AccountQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["priority", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=[name], condition=~Q(**{name: ""}), name=f"one_account_a_{name}")
            for name in ("email", "given_name", "fingerprint")
        ]

    def __str__(self) -> str:
        return self.label or self.name

    @property
    def name(self) -> str:
        """The e-mail address or the given name, by which commands, logs and the ledger name the account."""
        return self.email or self.given_name

    @property
    def is_usable(self) -> bool:
        return self.enabled and self.state == self.State.OK and self.terms_accepted_at is not None

    @property
    def credential(self) -> dict[str, str]:
        """The credential's fields, decrypted. Raises CredentialsUnreadable when no key decrypts them."""
        return unseal_fields(self.sealed_credential)

    @credential.setter
    def credential(self, fields: Mapping[str, str]) -> None:
        self.sealed_credential = seal_fields(fields)

    @property
    def switches(self) -> Switches:
        return Switches.of(self.learned_switches, self.given_switches)

    @property
    def is_paid(self) -> bool:
        """Whether its requests cost money or may do so: a key of unknown tier counts as paid, except of a
        server of kind "compatible"."""
        return self.tier == "paid" or (self.tier == "unknown" and self.kind in {"anthropic", "gemini"})

    def enter_state(self, state: str, reason: str = "", link: str = "") -> None:
        """Set the fields of the state; the caller saves them, with STATE_FIELDS when nothing else changes."""
        if state != self.state:
            self.state_since = timezone.now()
        self.state, self.state_reason, self.state_link = state, reason, link

    def switch_on(self) -> None:
        """Enable the account; the caller saves. This clears `state_reason` in state OK, where it is why the
        account was disabled."""
        self.enabled = True
        if self.state == self.State.OK:
            self.state_reason = ""

    def set_project(self, project_id: str) -> None:
        """Set the Cloud project, which ends the state NEEDS_PROJECT; the caller saves `project_id` and
        STATE_FIELDS."""
        self.project_id = project_id
        if project_id and self.state == self.State.NEEDS_PROJECT:
            self.enter_state(self.State.OK)

    STATE_FIELDS: ClassVar = ["state", "state_reason", "state_link", "state_since"]


_USABLE = Q(enabled=True, state=Account.State.OK, terms_accepted_at__isnull=False)


class SharedToken(models.Model):
    """The access token of an account for all processes, and the claim of the one that refreshes it.

    A process claims the refresh with an UPDATE that changes one row or none. A claim expires, so that a
    process that dies does not block the others. Only the holder of the claim can store a token and end it.
    """

    account = models.OneToOneField(
        Account, on_delete=models.CASCADE, primary_key=True, related_name="shared_token"
    )
    sealed_access_token = models.TextField(blank=True, editable=False)
    good_until = models.FloatField(default=0.0)
    claimed_until = models.FloatField(default=0.0)
    claimed_by = models.CharField(max_length=32, default="", db_default="", editable=False)
    """A random id of the running refresh; "" while none is running."""

    def __str__(self) -> str:
        return f"access token of account {self.account_id}"


class ClientProblem(models.Model):
    """A single row that exists while Google refuses OAUTH_CLIENT_ID or its secret. No account is at fault
    then."""

    reason = models.TextField()
    since = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.reason

    @classmethod
    def note(cls, reason: str) -> None:
        cls.objects.update_or_create(pk=1, defaults={"reason": reason})

    @classmethod
    def clear(cls) -> None:
        cls.objects.all().delete()


class SignIn(models.Model):
    """One attempt to sign in at Google, from its start to its end, by the callback or a pasted address."""

    class Status(models.TextChoices):
        PENDING = "pending", "Waiting for you to sign in at Google"
        FINISHING = "finishing", "Google has answered"
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"
        EXPIRED = "expired", "Expired"

    LIFETIME = timedelta(minutes=10)
    WAITING = (Status.PENDING, Status.FINISHING)

    state = models.CharField(max_length=64, unique=True, editable=False)
    sealed_code_verifier = models.TextField(editable=False)
    redirect_uri = models.CharField(max_length=200, editable=False)
    login_hint = models.EmailField("account to sign in as", blank=True)
    terms_accepted = models.BooleanField(default=False)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PENDING)
    reason = models.TextField(blank=True)
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="sign_ins")
    started_by = models.CharField(max_length=150)
    started_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-started_at"]

    def __str__(self) -> str:
        return f"sign-in of {self.started_at:%Y-%m-%d %H:%M}"

    @property
    def expires_at(self) -> datetime:
        return self.started_at + self.LIFETIME

    @property
    def seconds_left(self) -> int:
        return max(0, int((self.expires_at - timezone.now()).total_seconds()))


class QuotaNumbers(models.Model):
    """The remaining quota, and the time for which Google reported it."""

    remaining_fraction = models.FloatField(null=True)
    """The remaining fraction, from 0 to 1; None when Google does not report it."""
    reset_at = models.DateTimeField("full again", null=True)
    taken_at = models.DateTimeField()
    """When these numbers were first reported. They hold until the next row of the same quota."""
    seen_at = models.DateTimeField()
    """When these numbers were last reported."""

    class Meta:
        abstract = True


class QuotaSnapshot(QuotaNumbers):
    """The remaining quota of one model for one account. Gemini models have a quota in each header mode."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="quota_snapshots")
    model_id = models.CharField("model", max_length=100)
    header_mode = models.CharField(max_length=20)

    class Meta:
        ordering: ClassVar = ["account_id", "model_id", "header_mode", "taken_at"]
        indexes: ClassVar = [
            models.Index(fields=["account", "model_id", "header_mode", "-taken_at"], name="quota_newest"),
            models.Index(fields=["seen_at"], name="quota_age"),
        ]

    def __str__(self) -> str:
        return f"{self.model_id} ({self.header_mode}) of account {self.account_id}"


class QuotaWindow(QuotaNumbers):
    """The remaining quota of a family of models over one of several spans, in header mode antigravity.

    Google reports it for some accounts only. The fraction of single models (QuotaSnapshot) is that of five
    hours.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="quota_windows")
    family = models.CharField(max_length=20)
    """The family: "claude", which includes GPT models, or "gemini"."""
    span = models.CharField(max_length=20)
    """The span of the limit: "5h" or "weekly"."""

    class Meta:
        ordering: ClassVar = ["account_id", "family", "span", "taken_at"]
        indexes: ClassVar = [
            models.Index(fields=["account", "family", "span", "-taken_at"], name="window_newest"),
            models.Index(fields=["seen_at"], name="window_age"),
        ]

    def __str__(self) -> str:
        return f"{self.family} ({self.span}) of account {self.account_id}"


class Cooldown(models.Model):
    """The cooldown of an account for one quota. Read when a server starts; a running one uses memory.

    `model_key` is the upstream model and the kind of account or the header mode: "gemini-3-flash:cli"; or
    "all models" (accounts/pool/cooldowns.py).
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="cooldowns")
    model_key = models.CharField(max_length=150)
    since = models.DateTimeField(default=EPOCH, db_default=EPOCH)
    until = models.DateTimeField()
    kind = models.CharField(max_length=40, default="", db_default="")
    """The name of the FailureKind that started the cooldown."""
    reason = models.CharField(max_length=200)
    """A text for people."""

    class Meta:
        ordering: ClassVar = ["until"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "model_key"], name="one_cooldown_a_quota")
        ]

    def __str__(self) -> str:
        return f"{self.model_key} until {minute(self.until)}"

    @classmethod
    def lasting(cls) -> models.QuerySet[Cooldown]:
        """Return the cooldowns that have not ended. One that begins in the future was stored before the clock
        was set back: its end is unknown, so it is left out."""
        now = timezone.now()
        return cls.objects.filter(since__lte=now, until__gt=now)


class LiveSetting(models.Model):
    """The operator's value of a live setting. A value in the environment wins (accounts/live_settings.py)."""

    name = models.CharField(max_length=60, primary_key=True)
    value = models.TextField(blank=True)
    changed_by = models.CharField(max_length=150)
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name


class SetUpLink(models.Model):
    """A one-time link for creating the operator, shown at the server's terminal while there is none."""

    token_hash = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"set-up link until {self.expires_at:%H:%M}"


class Revision(models.Model):
    """The number of changes so far, and how many of them each server has read.

    Servers compare it to notice the changes of commands and other servers; commands and pages wait until the
    servers have read theirs. Row 1 has the number of changes. Row -N has the number that server N has read;
    it is deleted when the server ends (gateway/ledger/instances.py).
    """

    number = models.BigIntegerField(default=0)

    made_here: ClassVar[int] = 0
    """The number of changes made by this process."""
    on_change: ClassVar[Callable[[], object]] = staticmethod(lambda: None)
    """A function that is called, in any thread, once a change by this process has been committed."""

    def __str__(self) -> str:
        return str(self.number)

    @classmethod
    def bump(cls) -> None:
        cls.objects.update_or_create(
            pk=1, defaults={"number": F("number") + 1}, create_defaults={"number": 1}
        )
        Revision.made_here += 1
        transaction.on_commit(cls.on_change)

    @classmethod
    def acknowledge(cls, server: int, number: int) -> None:
        cls.objects.update_or_create(pk=-server, defaults={"number": number})

    @classmethod
    def forget(cls, server: int) -> None:
        cls.objects.filter(pk=-server).delete()

    @classmethod
    def servers_up_to_date(cls, number: int) -> list[int]:
        """Return the numbers of the servers that have read at least `number` changes."""
        return [-pk for pk in cls.objects.filter(pk__lt=0, number__gte=number).values_list("pk", flat=True)]

    @classmethod
    def current(cls) -> int:
        return cls.objects.filter(pk=1).values_list("number", flat=True).first() or 0


class DatabaseVersion(models.Model):
    """A single row with what older code must know about a database that newer code has migrated
    (accounts/database/versions.py)."""

    migrated_by = models.CharField(max_length=40)
    oldest_code = models.CharField(max_length=40)
    migrated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"migrated by {self.migrated_by}, for {self.oldest_code} and newer"
