"""`/connect`: how to point Claude Code at this gateway, saved choices of models, whether Claude Code's first
request has arrived, and a test message."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode
from weakref import WeakSet

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.operators import audit
from dashboard import connecting
from dashboard.model_rows import offered_models
from dashboard.pages import operator_page, render_page
from dashboard.views.claude_settings import place_of_file, refusal
from gateway.api.application import EventStream
from gateway.api.authentication import Client
from gateway.api.own_requests import own_request
from gateway.api.serve import serve
from gateway.dialects.anthropic.dialect import ANTHROPIC
from gateway.errors import GatewayError
from gateway.models import ModelChoice, RequestLog
from gateway.routing import resolution
from gateway.service import running_gateway
from gateway.telemetry.request_ids import current_request_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    from django.http import HttpRequest, HttpResponse
    from django.http.response import HttpResponseBase

    from gateway.api.application import ApiRequest

OPERATOR = Client("operator")
"""The client of test messages; the ledger has them under this name."""
MOST_CHOICES = 20
LONGEST_MESSAGE = 2000
LONGEST_ANSWER_TOKENS = 2000

_under_way: WeakSet[EventStream] = WeakSet()
"""The running answers to test messages. One whose browser has gone before the first piece is
garbage-collected."""


@operator_page
def connect(request: HttpRequest) -> HttpResponse:
    offered = resolution.visible(offered_models())
    form = request.GET.get("for", "bash")
    form = form if form in connecting.FORMS else "bash"
    preset = request.GET.get("models", "claude")
    preset = preset if preset in connecting.PRESETS else "claude"
    models = connecting.models_of(preset, request.GET.dict(), offered)
    variables = connecting.environment(
        f"{request.scheme}://{request.get_host()}", has_key=bool(settings.AUTH_TOKEN), models=models
    )
    shown = connecting.FORMS[form]
    context = {
        "forms": [(name, known.title) for name, known in connecting.FORMS.items()],
        "form": form,
        "shown": shown,
        "lines": shown.text_of(variables),
        "has_key": bool(settings.AUTH_TOKEN),
        "preset": preset,
        "can_write": not refusal(request),
        **place_of_file(),
        "has_models": bool(models),
        "choices": [_shown_choice(choice, models, offered) for choice in ModelChoice.objects.all()],
        "kinds": [(kind, models.get(kind, "")) for kind in connecting.MODEL_VARIABLES],
        "offered": offered,
        "arrived": _newest_of_clients(),
    }
    return render_page(request, "connect.html", context)


@operator_page
def arrived(request: HttpRequest) -> HttpResponse:
    """Show the part of the page that waits for the first request, which is polled until it has arrived."""
    return render_page(request, "_arrived.html", {"arrived": _newest_of_clients()})


@operator_page
@require_POST
def model_choices(request: HttpRequest) -> HttpResponse:
    """Save the models under a name, or delete a name."""
    models = connecting.chosen_models(request.POST.dict(), resolution.visible(offered_models()))
    try:
        done = _forget(request.POST["forget"]) if "forget" in request.POST else _keep(request, models)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        assert request.user.is_authenticated
        audit.record(request.user, done, request.user)
        messages.success(request, f"{done}.")
    shown = {"for": request.POST.get("for", ""), "models": "own", **models}
    return redirect(f"{reverse('dashboard:connect')}?{urlencode(shown)}")


def _keep(request: HttpRequest, models: Mapping[str, str]) -> str:
    """Save the models, and return what was done. Raises ValidationError."""
    every = {kind: models.get(kind, "") for kind in connecting.MODEL_VARIABLES}
    choice = ModelChoice(name=request.POST.get("name", "").strip(), **every)
    choice.full_clean(validate_unique=False)
    others = ModelChoice.objects.exclude(name=choice.name)
    if others.count() >= MOST_CHOICES:
        raise ValidationError(f"At most {MOST_CHOICES} are kept. Forget one first.")
    ModelChoice.objects.update_or_create(name=choice.name, defaults=every)
    return f"Kept the models as {choice.name}"


def _forget(number: str) -> str:
    """Delete a choice, and return what was done. Raises ValidationError."""
    choice = (
        ModelChoice.objects.filter(pk=number).first() if number.isdecimal() and len(number) < 19 else None
    )
    if choice is None:
        raise ValidationError("There is no such choice any more.")
    choice.delete()
    return f"Forgot the models kept as {choice.name}"


def _shown_choice(
    choice: ModelChoice, shown: Mapping[str, str], offered: Collection[str]
) -> dict[str, object]:
    kept = {kind: getattr(choice, kind) for kind in connecting.MODEL_VARIABLES if getattr(choice, kind)}
    return {
        "number": choice.pk,
        "name": choice.name,
        "kept": kept,
        "query": urlencode({"models": "own", **kept}),
        "missing": sorted({name for name in kept.values() if name not in offered}),
        "is_shown": kept == shown,
    }


@operator_page
@require_POST
def try_it(request: HttpRequest) -> HttpResponseBase:
    """Answer a test message through the relay, as Anthropic's server-sent events."""
    gateway = running_gateway()
    message = request.POST.get("message", "").strip()
    if gateway is None:
        return _refused(503, "No gateway runs in this process.")
    if not 0 < len(message) <= LONGEST_MESSAGE:
        return _refused(400, f"A message of 1 to {LONGEST_MESSAGE} characters, please.")
    if _under_way:
        return _refused(429, "One test message at a time: the one before it is still being answered.")
    own = own_request(gateway, OPERATOR, _body(request.POST.get("model", ""), message))
    try:
        answer = async_to_sync(_serve)(own)
    except GatewayError as error:
        return _refused(error.status, error.message, own.request_id)
    _under_way.add(answer)
    return StreamingHttpResponse(
        _pieces(answer),
        content_type=answer.content_type.decode(),
        headers={"X-Accel-Buffering": "no", "X-Request-Id": own.request_id},
    )


async def _serve(own: ApiRequest) -> EventStream:
    current_request_id.set(own.request_id)
    answer = await serve(ANTHROPIC, own)
    assert isinstance(answer, EventStream)
    return answer


async def _pieces(answer: EventStream) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.pieces:
            yield piece
    finally:
        _under_way.discard(answer)
        await answer.pieces.clean_up()


def _body(model: str, message: str) -> dict[str, object]:
    return {
        "model": model.strip()[:200] or "sonnet",
        "max_tokens": LONGEST_ANSWER_TOKENS,
        "stream": True,
        "messages": [{"role": "user", "content": message}],
    }


def _refused(status: int, text: str, request_id: str = "") -> JsonResponse:
    return JsonResponse({"error": text, "request_id": request_id}, status=status)


def _newest_of_clients() -> RequestLog | None:
    """Return the newest request that is not a test message."""
    return RequestLog.objects.exclude(client=OPERATOR.name).order_by("-started_at").first()
