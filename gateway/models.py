"""Model routes, token ratios and the ledger of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.core.exceptions import ValidationError
from django.db import Error, models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Followed
from gateway.routing.routes import Route, Routes, cycle_through
from gateway.routing.token_ratios import MOST_MODELS, Learnt, TokenRatios

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

MESSAGES = "messages"
SAFEGUARDS = "safeguards"
"""Classes of requests: those of clients, and the gateway's own safety checks of their answers."""


class ModelRoute(Followed):
    """The operator's route for one model name. A running server applies a change within a second."""

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
        help_text="The upstream id that answers when all accounts are at their limit, if FALLBACK is on. "
        "Empty: chosen by the kind of model. It may have a fallback of its own; three are tried at most.",
    )
    hidden = models.BooleanField(default=False, help_text="Left out of the list of models; still answered.")
    pinned = models.BooleanField(default=False, help_text="Comes first in the list of models.")

    class Meta:
        ordering: ClassVar = ["-pinned", "client_name"]
        verbose_name = "model route"

    def __str__(self) -> str:
        return f"{self.client_name} → {self.upstream_model}" if self.upstream_model else self.client_name

    def clean(self) -> None:
        others = dict(ModelRoute.objects.exclude(pk=self.pk).values_list("client_name", "fallback"))
        if cycle := cycle_through(self.client_name, self.fallback, others):
            raise ValidationError({"fallback": f"These fallbacks form a cycle: {' → '.join(cycle)}."})


def read_routes() -> Routes:
    rows = ModelRoute.objects.all()
    return Routes(
        {row.client_name: Route(row.upstream_model, row.fallback, row.hidden, row.pinned) for row in rows}
    )


class ImportedNames:
    """Keeps the names that other tools' files give to models as routes (accounts/transfer/model_names.py)."""

    def taken(self, names: Collection[str]) -> set[str]:
        routes = ModelRoute.objects.filter(client_name__in=names)
        return set(routes.values_list("client_name", flat=True))

    def keep(self, names: Mapping[str, str]) -> None:
        for name, model in names.items():
            ModelRoute.objects.get_or_create(client_name=name, defaults={"upstream_model": model})


class TokenRatio(models.Model):
    """The ratio of Google's token counts for a model to our estimates (gateway/routing/token_ratios.py)."""

    model = models.CharField(max_length=200, primary_key=True)
    ratio = models.FloatField()
    answers = models.FloatField()
    """The number of answers on which the ratio is based."""
    changed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.model}: {self.ratio:.2f}"


def read_token_ratios() -> dict[str, Learnt]:
    newest = TokenRatio.objects.order_by("-changed_at")[:MOST_MODELS]
    return {row.model: Learnt(row.ratio, row.answers) for row in newest}


def store_token_ratios(ratios: TokenRatios) -> None:
    """Store changed ratios, in a fixed order, so that two servers cannot deadlock.

    May be called in another thread than `learn`. Raises Error; the ratios then stay in `changed`.
    """
    changed, ratios.changed = ratios.changed, {}
    now = timezone.now()
    rows = [
        TokenRatio(model=model, changed_at=now, ratio=one.ratio, answers=one.answers)
        for model, one in sorted(changed.items())
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
    """One run of a server. When it dies, another server closes the rows of its open requests. Each run
    numbers its requests from its own `first_request_id`, so that two servers never assign the same id."""

    REQUESTS_EACH = 1 << 32

    lock = models.CharField(max_length=500, blank=True)
    """Host and DATA_DIR whose lock the server holds; empty when several servers may run."""
    process_id = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    """The time by the database's clock, which all servers share."""
    ended_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"server {self.pk} of {self.started_at:%Y-%m-%d %H:%M}"

    @property
    def first_request_id(self) -> int:
        return int(self.pk) * self.REQUESTS_EACH


class Tokens(models.Model):
    """Token counts of the upstream, as in Anthropic's usage: cached tokens are not part of the input;
    thinking is part of the output."""

    input_tokens = models.BigIntegerField(db_default=0)
    output_tokens = models.BigIntegerField(db_default=0)
    cache_read_tokens = models.BigIntegerField(db_default=0)
    thinking_tokens = models.BigIntegerField(db_default=0)
    unpriced = models.BigIntegerField(db_default=0)
    """The number of attempts with billed tokens whose price is unknown."""

    class Meta:
        abstract = True


class Cost(models.Model):
    """The cost of tokens in billionths of a dollar (gateway/pricing/). Null when the tokens are not billed,
    or when a price is unknown (`unpriced`)."""

    cost = models.BigIntegerField(null=True)

    class Meta:
        abstract = True


class RequestLog(Tokens, Cost):
    """A request for a message, from the moment it was accepted. Contains no content."""

    HUNG_UP = "hung_up"
    INTERRUPTED = "interrupted"

    id = models.BigIntegerField(primary_key=True)
    instance_id = models.BigIntegerField()
    """Id of the ServerInstance, whose row may be deleted before this one."""
    request_id = models.CharField(max_length=64)
    """The id sent to the client. A client may choose it, and may use one more than once."""
    started_at = models.DateTimeField()
    client = models.CharField(max_length=100)
    request_class = models.CharField(max_length=20, default=MESSAGES, db_default=MESSAGES)
    """MESSAGES or SAFEGUARDS. A safety check has the request_id of the request whose answer it checks."""
    session_id = models.CharField(max_length=200, blank=True)
    """Claude Code's id of a conversation and its subagents."""
    client_model = models.CharField(max_length=200, blank=True)
    upstream_model = models.CharField(max_length=200, blank=True)
    account = models.CharField(max_length=254, blank=True)
    """The account's name (`Account.name`) instead of a foreign key, since rows outlive the account."""
    endpoint = models.CharField(max_length=200, blank=True)
    is_stream = models.BooleanField(default=False)
    fallback = models.BooleanField(default=False)
    """True when a fallback answered instead of the model asked for (setting FALLBACK)."""
    problem = models.CharField(max_length=40, null=True)  # noqa: DJ001  # an index leaves the nulls out
    """Null without an error; else the type of the error sent to the client, HUNG_UP, or INTERRUPTED when the
    server died meanwhile."""
    status = models.PositiveSmallIntegerField(null=True)
    """HTTP status; for an error within a stream, the status it would have had before. 499 when the client had
    closed the connection."""
    error = models.CharField(max_length=500, blank=True)
    """The gateway's own message; "" when it may quote the request."""
    stop_reason = models.CharField(max_length=30, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    waited_seconds = models.FloatField(default=0.0)
    first_event_seconds = models.FloatField(null=True)
    duration_seconds = models.FloatField(null=True)
    request_bytes = models.BigIntegerField(default=0)
    response_bytes = models.BigIntegerField(default=0)

    class Meta:
        # All columns are in the order of insertion: appending to an index costs a fraction of inserting into
        # it.
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


class RequestAttempt(Tokens, Cost):
    """An attempt to answer a request: one account, one upstream address.

    A request answered by its first attempt has no row here: its own row has the same facts.
    """

    pk = models.CompositePrimaryKey("request_id", "number")
    request = models.ForeignKey(RequestLog, on_delete=models.CASCADE, related_name="tries", db_index=False)
    number = models.PositiveIntegerField()
    account = models.CharField(max_length=254)
    model = models.CharField(max_length=200)
    endpoint = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField()
    waited_seconds = models.FloatField(default=0.0)
    """Time before the attempt in the queue, or waiting for a limit or backoff to end."""
    took_seconds = models.FloatField()
    reason = models.CharField(max_length=200)
    """"answered", or why the attempt failed."""
    decision = models.CharField(max_length=40, blank=True)
    """The next step after the attempt."""

    def __str__(self) -> str:
        return f"{self.number}. {self.account}: {self.reason}"


class UsageSums(Tokens):
    """Sums over the requests that began in one span of time, kept after their rows are deleted.

    A request counts for the account and model of its last attempt; attempts and tokens count where they were
    made. Sums are written in the same transaction as the rows, so they are exact at any moment.
    """

    cost = models.BigIntegerField(db_default=0)
    """The cost of the attempts with a known price, in billionths of a dollar."""
    requests = models.BigIntegerField(db_default=0)
    failed = models.BigIntegerField(db_default=0)
    hung_up = models.BigIntegerField(db_default=0)
    interrupted = models.BigIntegerField(db_default=0)
    attempts = models.BigIntegerField(db_default=0)
    retried = models.BigIntegerField(db_default=0)
    """The number of requests with more than one attempt; `retried_well` counts those of them that were
    answered."""
    retried_well = models.BigIntegerField(db_default=0)
    fallback = models.BigIntegerField(db_default=0)
    waited = models.BigIntegerField(db_default=0)
    waited_seconds = models.FloatField(db_default=0.0)
    begun = models.BigIntegerField(db_default=0)
    """The number of requests with a first event; `first_event_seconds` is the sum of the times until it."""
    first_event_seconds = models.FloatField(db_default=0.0)
    duration_seconds = models.FloatField(db_default=0.0)

    class Meta:
        abstract = True


class HourlyUsage(UsageSums):
    hour = models.DateTimeField()
    model = models.CharField(max_length=200)
    account = models.CharField(max_length=254)
    client = models.CharField(max_length=100)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["hour", "model", "account", "client"], name="one_row_an_hour")
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}:00 {self.model} {self.account} {self.client}"


class MinuteUsage(UsageSums):
    """Sums for charts of the last hours, which would be too slow from the rows of requests. Kept for a
    day."""

    minute = models.DateTimeField()
    model = models.CharField(max_length=200)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["minute", "model"], name="one_row_a_minute")]

    def __str__(self) -> str:
        return f"{self.minute:%Y-%m-%d %H:%M} {self.model}"


class ModelChoice(models.Model):
    """The models that answer Claude Code's opus, sonnet and haiku, saved by an operator under a name; "" for
    the model that Claude Code asks for."""

    name = models.CharField(max_length=50, unique=True)
    opus = models.CharField(max_length=200, blank=True)
    sonnet = models.CharField(max_length=200, blank=True)
    haiku = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if not self.name.isprintable():
            raise ValidationError({"name": "This name has characters that cannot be seen."})
        if not (self.opus or self.sonnet or self.haiku):
            raise ValidationError("Choose a model first.")


class CallSignature(models.Model):
    """Gemini's signature of a tool call, kept for a client without a thinking block to carry it in."""

    tool_use_id = models.CharField(max_length=64, primary_key=True)
    family = models.CharField(max_length=20)
    sealed = models.TextField()
    """The signature, encrypted as refresh tokens are."""
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.tool_use_id
