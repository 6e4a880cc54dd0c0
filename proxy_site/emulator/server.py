"""The emulator as a server: aiohttp on a loopback port, in a thread with an event loop of its own.

with EmulatorServer() as google:
    google.url                      "http://127.0.0.1:41234"
    google.state.reply("Hello")     what the next model call is answered
    google.state.log.wait_for(...)  what arrived
"""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING, Self

from aiohttp import web

from proxy_site.emulator import control
from proxy_site.emulator.anthropic_api import methods as anthropic
from proxy_site.emulator.compatible import methods as compatible
from proxy_site.emulator.exchange import endpoint, json_endpoint
from proxy_site.emulator.gemini_api import methods as gemini
from proxy_site.emulator.methods import code_assist, generate, oauth, pretend_web, verification
from proxy_site.emulator.methods.consent_refusals import ERROR_PATH
from proxy_site.emulator.methods.google_exchange import GoogleExchange
from proxy_site.emulator.state import EmulatorState

if TYPE_CHECKING:
    from types import TracebackType

    from proxy_site.emulator.compatible.modes import ModeName

# Requests with images are large; the limit is the emulator's own, not Google's.
LARGEST_BODY_BYTES = 64 * 1024 * 1024
LISTEN_BACKLOG = 2048


def build_application(state: EmulatorState, *, with_control: bool = False) -> web.Application:
    application = web.Application(client_max_size=LARGEST_BODY_BYTES)
    _add_sign_in(application.router, state)
    _add_code_assist(application.router, state)
    gemini.add_routes(application.router, state)
    anthropic.add_routes(application.router, state)
    compatible.add_routes(application.router, state)
    if with_control:
        control.add_routes(application.router, state)
    return application


def _add_sign_in(router: web.UrlDispatcher, state: EmulatorState) -> None:
    sign_in = oauth.OAuth(state)
    router.add_get("/o/oauth2/v2/auth", endpoint(GoogleExchange, state, "auth", sign_in.authorize))
    router.add_get(oauth.APPROVE_PATH, endpoint(GoogleExchange, state, "approve", sign_in.approve))
    router.add_get(ERROR_PATH, endpoint(GoogleExchange, state, "authError", sign_in.show_error))
    router.add_get(verification.VERIFY_PATH, endpoint(GoogleExchange, state, "verify", verification.show))
    router.add_post(verification.VERIFY_PATH, endpoint(GoogleExchange, state, "verify", verification.verify))
    router.add_post("/token", endpoint(GoogleExchange, state, "token", sign_in.token))
    router.add_get("/oauth2/v1/userinfo", json_endpoint(GoogleExchange, state, "userinfo", oauth.userinfo))


def _add_code_assist(router: web.UrlDispatcher, state: EmulatorState) -> None:
    streamed = endpoint(GoogleExchange, state, "streamGenerateContent", generate.stream_generate_content)
    router.add_post("/v1internal:streamGenerateContent", streamed)
    whole = endpoint(GoogleExchange, state, "generateContent", generate.generate_content)
    router.add_post("/v1internal:generateContent", whole)
    for method, handler in {
        "loadCodeAssist": code_assist.load_code_assist,
        "onboardUser": code_assist.onboard_user,
        "fetchAvailableModels": code_assist.fetch_available_models,
        "countTokens": code_assist.count_tokens,
        "retrieveUserQuota": code_assist.retrieve_user_quota,
        "retrieveUserQuotaSummary": code_assist.retrieve_user_quota_summary,
    }.items():
        router.add_post(f"/v1internal:{method}", json_endpoint(GoogleExchange, state, method, handler))
    operations = json_endpoint(GoogleExchange, state, "operations", code_assist.get_operation)
    router.add_get("/v1internal/operations/{name}", operations)
    redirect = endpoint(GoogleExchange, state, "groundingRedirect", pretend_web.redirect)
    router.add_route("*", pretend_web.REDIRECT_PATH + "{id}", redirect)


def _count_connections(runner: web.AppRunner) -> int:
    return len(runner.server.connections) if runner.server else 0


class EmulatorServer:
    """The emulator as a context manager; ``start`` and ``stop`` do the same without one."""

    def __init__(
        self, state: EmulatorState | None = None, *, port: int = 0, with_control: bool = False
    ) -> None:
        self.state = state or EmulatorState()
        self._with_control = with_control
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def gemini_api_url(self) -> str:
        """The address in place of ``https://generativelanguage.googleapis.com``."""
        return self.url + gemini.PREFIX

    @property
    def anthropic_api_url(self) -> str:
        """The address in place of ``https://api.anthropic.com``."""
        return self.url + anthropic.PREFIX

    def compatible_url(self, mode: ModeName) -> str:
        """Return the base address of a server that uses Anthropic's format."""
        return f"{self.url}{compatible.PREFIX}/{mode}"

    @property
    def trap_url(self) -> str:
        """Another origin than ``url``, to which a redirect may lead. No key may arrive there."""
        return f"http://localhost:{self.port}{compatible.TRAP_PATH}"

    def gateway_settings(self) -> dict[str, str]:
        """Environment variables that make a gateway use this emulator as Google and as Anthropic."""
        return {
            "CLOUDCODE_ENDPOINTS": self.url,
            "GEMINI_API_URL": self.gemini_api_url,
            "ANTHROPIC_API_URL": self.anthropic_api_url,
            "OAUTH_AUTH_URL": f"{self.url}/o/oauth2/v2/auth",
            "OAUTH_TOKEN_URL": f"{self.url}/token",
            "OAUTH_USERINFO_URL": f"{self.url}/oauth2/v1/userinfo",
            "OAUTH_CLIENT_ID": self.state.client_id,
            "OAUTH_CLIENT_SECRET": self.state.client_secret,
            "WEB_SEARCH_REDIRECT_URL": self.url + pretend_web.REDIRECT_PATH,
        }

    def start(self) -> Self:
        """Start; returns once the port listens. Raises OSError when it is taken. After ``stop`` it uses the
        same port and state."""
        self._started.clear()
        self._error = None
        self._thread = threading.Thread(target=self._run, name="emulator", daemon=True)
        self._thread.start()
        self._started.wait()
        self._raise_what_stopped_it()
        return self

    def _raise_what_stopped_it(self) -> None:
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Close the port and every connection, streams included. May be called again."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._error = error
            self._started.set()

    async def _serve(self) -> None:
        # The handler is cancelled at once when the gateway closes the connection.
        runner = web.AppRunner(
            build_application(self.state, with_control=self._with_control),
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=0.05,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port, backlog=LISTEN_BACKLOG).start()
            self.port = runner.addresses[0][1]
            self.state.count_connections = partial(_count_connections, runner)
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._started.set()
            await self._stop.wait()
        finally:
            await runner.cleanup()
