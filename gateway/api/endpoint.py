"""Decorator of the views under gateway/api: allowed methods, and authentication before the body is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.api.authentication import authenticate, check_host
from gateway.dialects.anthropic.dialect import ANTHROPIC
from gateway.errors import LoopDetected, MethodNotAllowed
from gateway.upstreams.hops import why_it_loops

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gateway.api.application import ApiRequest, ApiResponse
    from gateway.dialects.base import Dialect

    View = Callable[..., Coroutine[Any, Any, ApiResponse]]


def endpoint(
    *methods: str, for_clients: bool = True, any_host: bool = False, dialect: Dialect = ANTHROPIC
) -> Callable[[View], View]:
    """Declare the methods of a view, whether only clients may call it, whether any Host header will do, and
    the dialect of its errors.

    The application calls the view's `judge_head` before it reads the body. That sets `request.dialect` and
    `request.client`, and raises GatewayError.
    """

    def decorate(view: View) -> View:
        def judge_head(request: ApiRequest) -> None:
            request.dialect = dialect
            if not any_host:
                check_host(request)
            if for_clients:
                request.client = authenticate(request)
                if why := why_it_loops(request.headers):
                    raise LoopDetected(why)
            if request.method not in methods:
                raise MethodNotAllowed(
                    f"{request.path_info} does not answer {request.method}.", allow=", ".join(methods)
                )

        view.judge_head = judge_head  # type: ignore[attr-defined]
        return view

    return decorate
