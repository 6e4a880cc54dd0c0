"""What every view of the Messages API has around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.api.authentication import check_client, log_refusal
from gateway.errors import GatewayError, MethodNotAllowed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from django.http.response import HttpResponseBase

    from gateway.api.application import ApiRequest

    View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


def endpoint(*methods: str, for_clients: bool = True) -> Callable[[View], View]:
    """Which methods it answers, and whether the caller must be a known client.

    `judge_head` looks at that before the body is read (gateway/api/application.py), and raises GatewayError.
    """

    def decorate(view: View) -> View:
        def judge_head(request: ApiRequest) -> None:
            if for_clients:
                try:
                    check_client(request)
                except GatewayError as error:
                    log_refusal(request, error)
                    raise
            if request.method not in methods:
                raise MethodNotAllowed(
                    f"{request.path_info} does not answer {request.method}.", allow=", ".join(methods)
                )

        view.judge_head = judge_head  # type: ignore[attr-defined]
        return view

    return decorate
