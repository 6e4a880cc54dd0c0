"""Checks of the connection to providers: proxies and certificates, each endpoint, and the clock."""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from django.conf import settings

from accounts.google.endpoints import base_urls
from accounts.network import CallFailed, is_loopback
from proxy_site.doctor.findings import Finding, ok, problem, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from accounts.network import AccountsClient

SECONDS = 4.0
"""How long a check waits for one server at most."""
TOLERATED_SKEW_SECONDS = 30.0
WRONG_SKEW_SECONDS = 300.0
NOT_YET_VALID, EXPIRED = 9, 10
OTHER_NAME = {62, 64}
"""X509_V_ERR_CERT_NOT_YET_VALID, _CERT_HAS_EXPIRED, _HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH (openssl.org,
X509_STORE_CTX_get_error)."""
OTHER_CA_VARIABLES = ("NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR")
"""The variables in which other programs find a network's own certificates."""
OWN_CA = (
    "If your network reads TLS with certificates of its own, set SSL_CERT_FILE to a file with them and with "
    "the public ones."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one server, or `error`. `skew_seconds` is by how much this machine's clock is ahead of
    the answer's Date."""

    url: str
    status: int = 0
    seconds: float = 0.0
    skew_seconds: float | None = None
    error: CallFailed | None = None


# Proxies and certificates


async def check_proxy() -> Finding:
    """Check whether each proxy accepts connections."""
    proxies = dict.fromkeys(one for one in (settings.HTTPS_PROXY, settings.HTTP_PROXY) if one)
    for proxy in proxies:
        if error := await _refusal(proxy):
            return problem(
                "Proxy",
                f"The proxy {_place(proxy)} cannot be reached: {error}.",
                "Correct HTTPS_PROXY and HTTP_PROXY, or take them out if this network needs no proxy.",
            )
    certificates = f"certificates of {settings.SSL_CERT_FILE or 'the system and of certifi'}"
    way = f"through {', '.join(map(_place, proxies))}" if proxies else "no proxy"
    return ok("Proxy", f"{way}; {certificates}", tuple(_hints()))


async def _refusal(proxy: str) -> str:
    """Return why the proxy cannot be connected to; "" when it can."""
    address = urlsplit(proxy)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(address.hostname, port)
    except TimeoutError:
        return f"no answer within {SECONDS:.0f} s"
    except OSError as error:
        number = error.errno or 0  # negative in errors of getaddrinfo
        # asyncio's own text for a refused connection quotes the address as a tuple.
        return os.strerror(number) if number > 0 else error.strerror or str(error)
    writer.close()
    return ""


def _hints() -> Iterator[str]:
    """Yield a warning for each environment variable that other programs obey and the gateway ignores."""
    others = [name for name in ("ALL_PROXY", "all_proxy") if os.environ.get(name)]
    if others and not (settings.HTTP_PROXY or settings.HTTPS_PROXY):
        yield f"{others[0]} is not followed: set HTTPS_PROXY, if this network needs a proxy."
    certificates = [name for name in OTHER_CA_VARIABLES if os.environ.get(name)]
    if certificates and not settings.SSL_CERT_FILE:
        yield f"{certificates[0]} is not followed: set SSL_CERT_FILE, if Google is refused without it."


def _place(url: str) -> str:
    """Return host and port, without a password."""
    return urlsplit(url).netloc.rpartition("@")[2]


# Endpoints


def endpoints(kinds: Collection[str]) -> dict[str, str]:
    """Return what each server is for, by its address without a path. `kinds` are those of the accounts;
    without any, the servers of a Google account."""
    uses = []
    if "google" in kinds or not kinds:
        uses += [(one, "models") for mode in ("cli", "antigravity") for one in base_urls(mode)]
        uses += [(settings.OAUTH_TOKEN_URL, "tokens"), (settings.OAUTH_USERINFO_URL, "sign-in")]
    if "gemini" in kinds:
        uses.append((settings.GEMINI_API_URL, "the Gemini API"))
    if "anthropic" in kinds:
        uses.append((settings.ANTHROPIC_API_URL, "Anthropic"))
    by_origin: dict[str, str] = {}
    for url, use in uses:
        by_origin.setdefault(_origin(url), use)
    return by_origin


def _origin(url: str) -> str:
    address = urlsplit(url)
    return f"{address.scheme}://{address.netloc.rpartition('@')[2]}"


async def check_endpoints(client: AccountsClient, kinds: Collection[str]) -> list[Finding]:
    """Return one finding for each endpoint, and one about the clock."""
    uses = endpoints(kinds)
    answers = await asyncio.gather(*(ask(client, f"{origin}/") for origin in uses))
    works = {use for answer, use in zip(answers, uses.values(), strict=True) if answer.error is None}
    found = [
        _about(answer, use, has_another=use in works)
        for answer, use in zip(answers, uses.values(), strict=True)
    ]
    return [*found, about_clock(answers)]


async def ask(client: AccountsClient, url: str) -> Answer:
    """Send a GET to the address; any answer of its server counts."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(SECONDS):
            answer = await client.get(url)
    except TimeoutError:
        return Answer(url, error=CallFailed(f"has not answered within {SECONDS:.0f} s"))
    except CallFailed as error:
        return Answer(url, error=error)
    seconds = loop.time() - started
    return Answer(url, answer.status, seconds, _skew(answer.headers.get("date", ""), seconds))


def _skew(date: str, seconds: float) -> float | None:
    with suppress(ValueError):
        theirs = parsedate_to_datetime(date)
        return (datetime.now(UTC) - theirs.replace(tzinfo=theirs.tzinfo or UTC)).total_seconds() - seconds / 2
    return None


def _about(answer: Answer, use: str, *, has_another: bool) -> Finding:
    server = f"{answer.url.rstrip('/')} ({use})"
    if answer.error is not None:
        found = warning if has_another else problem
        return found("Endpoint", f"{server} {_why(answer.error)}.", remedy(answer.error, answer.url))
    if answer.status >= 500:
        sentence = f"{server} answers, but with {answer.status}."
        return warning("Endpoint", sentence, "Something on the way to it, or Google itself: try again later.")
    return ok("Endpoint", f"{server} answers, {answer.seconds * 1000:.0f} ms")


def _why(failure: CallFailed) -> str:
    """Return why the call failed. For a refused certificate the text is shorter than aiohttp's."""
    cause = _certificate_error(failure)
    if cause is None:
        return str(failure)
    return f"answers with a certificate that is refused: {cause.verify_message.rstrip('.')}"


def _certificate_error(failure: CallFailed) -> ssl.SSLCertVerificationError | None:
    error = failure.error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        return cause if isinstance(cause, ssl.SSLCertVerificationError) else None
    return None


def remedy(failure: CallFailed, url: str) -> str:
    """Return what to do about a server that cannot be reached."""
    error = failure.error
    if (cause := _certificate_error(failure)) is not None:
        return _about_certificate(cause.verify_code)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"The proxy answers {error.status}: look at its rules, and at the password in HTTPS_PROXY."
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return "Correct HTTPS_PROXY, or take it out if this network needs no proxy."
    if isinstance(error, aiohttp.ClientConnectorError) and is_loopback(urlsplit(url).hostname or ""):
        return "Nothing listens there: start it, or correct CLOUDCODE_ENDPOINTS and the settings …_URL."
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return (
            "Its name is not found: look at this machine's DNS, or set HTTPS_PROXY if names are the proxy's."
        )
    return "Look at this machine's network and firewall, and at HTTPS_PROXY if there is a proxy."


def _about_certificate(code: int) -> str:
    if code in {NOT_YET_VALID, EXPIRED}:
        return f"Look at this machine's clock, which says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {OWN_CA}"
    if code in OTHER_NAME:
        return "Another server answers in its place: a proxy of your network, or a page to log in there."
    if settings.SSL_CERT_FILE:
        return f"{settings.SSL_CERT_FILE} does not have its issuer: add it there, or take SSL_CERT_FILE out."
    return OWN_CA


# The clock


def about_clock(answers: Sequence[Answer]) -> Finding:
    """Compare this clock with the servers': with the nearest, since a cache may send an old Date."""
    skews = [answer.skew_seconds for answer in answers if answer.skew_seconds is not None]
    if not skews:
        return skipped("Clock", "No server has told the time")
    skew = min(skews, key=abs)
    if abs(skew) <= TOLERATED_SKEW_SECONDS:
        return ok("Clock", f"within {max(abs(skew), 1):.0f} s of the servers'")
    found = problem if abs(skew) >= WRONG_SKEW_SECONDS else warning
    return found(
        "Clock",
        f"This machine's clock is {_span(abs(skew))} {'fast' if skew > 0 else 'slow'}: cooldowns end at the "
        "wrong time, and certificates may be refused.",
        "Set it, and have it kept: `timedatectl set-ntp true`; in a virtual machine, look at its host's.",
    )


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} seconds"
