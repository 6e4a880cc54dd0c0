"""What the operator has decided about model names, and what was asked, of whom, and how it went."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import Error, models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Revision
from gateway.routing.routes import Route, Routes, cycle_through
from gateway.routing.token_ratios import MOST_MODELS, Learnt, TokenRatios

MESSAGES = "messages"
SAFEGUARDS = "safeguards"
"""Classes of requests: a client's own, and the safety check that the gateway makes of its answer."""


class ModelRoute(models.Model):
    """One name, and what becomes of it. A running server sees a change within a second."""

    client_name = models.CharField(
        "name",
        max_length=200,
        unique=True,
        help_text="As clients ask for it, or an upstream id.",
    )
    upstream_model = models.CharField(
        "answered by", max_length=200, blank=True, help_text="An upstream id. Empty: chosen by the name."
    )
    fallback = models.CharField(
        max_length=200,
        blank=True,
        help_text="The upstream id that steps in when all accounts are at their limit, if FALLBACK is on. "
        "Empty: chosen by the kind of model. It may have a fallback of its own; three are tried at most.",
    )
    hidden = models.BooleanField(default=False, help_text="Left out of the list of models; still answered.")
    pinned = models.BooleanField(default=False, help_text="Comes first in the list of models.")

    class Meta:
        ordering: ClassVar = ["-pinned", "client_name"]
        verbose_name = "model route"

    def __str__(self) -> str:
        return f"{self.client_name} → {self.upstream_model}" if self.upstream_model else self.client_name

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        Revision.bump()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        deleted = super().delete(*args, **kwargs)
        Revision.bump()
        return deleted

    def clean(self) -> None:
        others = dict(ModelRoute.objects.exclude(pk=self.pk).values_list("client_name", "fallback"))
        if cycle := cycle_through(self.client_name, self.fallback, others):
            raise ValidationError({"fallback": f"These would step in for each other: {' → '.join(cycle)}."})


def read_routes() -> Routes:
    return Routes(
        {
            row.client_name: Route(row.upstream_model, row.fallback, row.hidden, row.pinned)
            for row in ModelRoute.objects.all()
        }
    )


class TokenRatio(models.Model):
    """What a model's tokens have been to our estimates of them (gateway/routing/token_ratios.py)."""

    model = models.CharField(max_length=200, primary_key=True)
    ratio = models.FloatField()
    answers = models.FloatField()
    """How many it rests on."""
    changed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.model}: {self.ratio:.2f}"


def read_token_ratios() -> dict[str, Learnt]:
    newest = TokenRatio.objects.order_by("-changed_at")[:MOST_MODELS]
    return {row.model: Learnt(row.ratio, row.answers) for row in newest}


def store_token_ratios(ratios: TokenRatios) -> None:
    """Those that have changed, in one order, so that two servers cannot lock each other.

    Called from a thread, while they change; raises Error, and they wait.
    """
    changed, ratios.changed = ratios.changed, {}
    now = timezone.now()
    rows = [
        TokenRatio(model=model, changed_at=now, **one._asdict()) for model, one in sorted(changed.items())
    ]
    try:
        TokenRatio.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["model"],
            update_fields=["ratio", "answers", "changed_at"],
        )
    except Error:
        ratios.changed = {**changed, **ratios.changed}
        raise


# The ledger (docs/ledger.md). gateway/ledger/ writes and reads these tables.


class ServerInstance(models.Model):
    """One run of a server. Rows of requests it had open when it died are closed by those who find that it is
    silent; it counts its requests from its own id upwards (`first_request_id`), so ids never meet."""

    REQUESTS_EACH = 1 << 32

    lock = models.CharField(max_length=500, blank=True)
    """The host and DATA_DIR whose lock the server holds; empty when there may be several."""
    process_id = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    """By the clock of the database, which all servers share."""
    ended_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"server {self.pk} of {self.started_at:%Y-%m-%d %H:%M}"

    @property
    def first_request_id(self) -> int:
        return int(self.pk) * self.REQUESTS_EACH


class Tokens(models.Model):
    """As the upstream counted them. Anthropic's sense: what came from the cache is not part of the input;
    thinking is part of the output."""

    input_tokens = models.BigIntegerField(db_default=0)
    output_tokens = models.BigIntegerField(db_default=0)
    cache_read_tokens = models.BigIntegerField(db_default=0)
    thinking_tokens = models.BigIntegerField(db_default=0)

    class Meta:
        abstract = True


class RequestLog(Tokens):
    """One row a request for a message, from the moment it was accepted. No word of what was said."""

    HUNG_UP = "hung_up"
    INTERRUPTED = "interrupted"

    id = models.BigIntegerField(primary_key=True)
    instance_id = models.BigIntegerField()
    """Of the ServerInstance, which may be forgotten before its rows are."""
    request_id = models.CharField(max_length=64)
    """What the client was told; it may have chosen it, and may choose it again."""
    started_at = models.DateTimeField()
    client = models.CharField(max_length=100)
    request_class = models.CharField(max_length=20, default=MESSAGES, db_default=MESSAGES)
    """MESSAGES or SAFEGUARDS. A safety check has the request_id of the request whose answer it is about."""
    session_id = models.CharField(max_length=200, blank=True)
    """Claude Code's, of one conversation and its subagents."""
    client_model = models.CharField(max_length=200, blank=True)
    upstream_model = models.CharField(max_length=200, blank=True)
    account = models.CharField(max_length=254, blank=True)
    """The e-mail address, not a key: what an account has done outlives the account."""
    endpoint = models.CharField(max_length=200, blank=True)
    is_stream = models.BooleanField(default=False)
    stepped_in = models.BooleanField(default=False)
    """Another model than the one asked for (setting FALLBACK)."""
    problem = models.CharField(max_length=40, null=True)  # noqa: DJ001  # an index leaves the nulls out
    """Null while all is well; else the type of the error the client heard, HUNG_UP, or INTERRUPTED when the
    server died meanwhile."""
    status = models.PositiveSmallIntegerField(null=True)
    """As the client heard it; within a stream that had begun, what it would have been otherwise. 499 when the
    client was not there any more."""
    error = models.CharField(max_length=500, blank=True)
    """Our own sentence; empty where it might quote the request."""
    stop_reason = models.CharField(max_length=30, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    waited_seconds = models.FloatField(default=0.0)
    first_event_seconds = models.FloatField(null=True)
    duration_seconds = models.FloatField(null=True)
    request_bytes = models.BigIntegerField(default=0)
    response_bytes = models.BigIntegerField(default=0)

    class Meta:
        # All in the order in which rows come: appending to an index costs a fraction of inserting into it.
        indexes: ClassVar = [
            models.Index(fields=["started_at"], name="request_newest"),
            models.Index(fields=["request_id"], name="request_by_id"),
            models.Index(fields=["account", "started_at"], name="request_by_account"),
            models.Index(fields=["upstream_model", "started_at"], name="request_by_model"),
            models.Index(fields=["client", "started_at"], name="request_by_client"),
            models.Index(fields=["session_id", "started_at"], name="request_by_session"),
            models.Index(
                fields=["started_at"],
                condition=Q(problem__isnull=False),
                name="request_with_problem",
            ),
            models.Index(
                fields=["instance_id"], condition=Q(duration_seconds__isnull=True), name="request_open"
            ),
        ]

    def __str__(self) -> str:
        return self.request_id

    @property
    def outcome(self) -> str:
        return self.problem or ("open" if self.duration_seconds is None else "answered")


class RequestAttempt(Tokens):
    """One try to get a request answered: one account, one address of Google.

    A request that was answered at its first try has no row here: its own says all of it.
    """

    pk = models.CompositePrimaryKey("request_id", "number")
    request = models.ForeignKey(RequestLog, on_delete=models.CASCADE, related_name="tries", db_index=False)
    number = models.PositiveIntegerField()
    account = models.CharField(max_length=254)
    model = models.CharField(max_length=200)
    endpoint = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField()
    waited_seconds = models.FloatField(default=0.0)
    """In the queue, or for a limit or a pause to end, before it."""
    took_seconds = models.FloatField()
    reason = models.CharField(max_length=200)
    """What became of it: "answered", or why not."""
    decision = models.CharField(max_length=40, blank=True)
    """What was done next."""

    def __str__(self) -> str:
        return f"{self.number}. {self.account}: {self.reason}"


class HourlyUsage(Tokens):
    """What remains when rows are old: sums of the requests that began in one hour.

    A request counts for the account and model that had the last word; attempts and tokens count where they
    were spent. The sums are written together with the rows, so they are exact at any moment.
    """

    hour = models.DateTimeField()
    model = models.CharField(max_length=200)
    account = models.CharField(max_length=254)
    client = models.CharField(max_length=100)
    requests = models.BigIntegerField(db_default=0)
    failed = models.BigIntegerField(db_default=0)
    hung_up = models.BigIntegerField(db_default=0)
    interrupted = models.BigIntegerField(db_default=0)
    attempts = models.BigIntegerField(db_default=0)
    retried = models.BigIntegerField(db_default=0)
    """Requests that took more than one attempt, and of them those that were answered."""
    retried_well = models.BigIntegerField(db_default=0)
    stepped_in = models.BigIntegerField(db_default=0)
    waited = models.BigIntegerField(db_default=0)
    waited_seconds = models.FloatField(db_default=0.0)
    begun = models.BigIntegerField(db_default=0)
    """Requests with a first event, and the seconds until then."""
    first_event_seconds = models.FloatField(db_default=0.0)
    duration_seconds = models.FloatField(db_default=0.0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["hour", "model", "account", "client"], name="one_row_an_hour")
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}:00 {self.model} {self.account} {self.client}"


class CallSignature(models.Model):
    """What Gemini signed a tool call with, for a client that has no thinking block to carry it in."""

    tool_use_id = models.CharField(max_length=64, primary_key=True)
    family = models.CharField(max_length=20)
    sealed = models.TextField()
    """Encrypted, as refresh tokens are."""
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.tool_use_id
