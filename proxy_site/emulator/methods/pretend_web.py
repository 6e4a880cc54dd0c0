"""Made-up web pages that searches find, the same ones for each query.

Google gives redirects instead of addresses, and the name of the site as title. The id of a redirect contains
its address, so that ids from before a restart still work. All hosts are reserved for examples, except those
that the request itself names, also as excluded ones: those come first.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from proxy_site.emulator import google_errors

if TYPE_CHECKING:
    from proxy_site.emulator.methods.google_exchange import GoogleExchange

Json = dict[str, Any]

REDIRECT_PATH = "/grounding-api-redirect/"

_SITES = ("encyclopedia.example.org", "news.example.com", "docs.example.net", "forum.example.org")
_INTRODUCTION = re.compile(r"\bquery:")
# Bounded, so that a long text costs no more than its length.
_HOST = re.compile(r"\b(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,63}\b", re.IGNORECASE)
_ID_START = "AUZIYQ"
_LONGEST_QUERY = 200


@dataclass(frozen=True)
class Page:
    site: str
    slug: str

    @property
    def url(self) -> str:
        return f"https://{self.site}/{self.slug}"


@dataclass(frozen=True)
class Found:
    """The result of a search. `text` ends with one sentence for each page, in order."""

    query: str
    pages: list[Page]

    @property
    def text(self) -> str:
        return self._opening + " ".join(map(self._sentence_on, self.pages))

    @property
    def _opening(self) -> str:
        return f"“{self.query}”: this is the demo, no real search was made. "

    def _sentence_on(self, page: Page) -> str:
        return f"{page.site} says that {self.query} is well known."

    def grounding(self, origin: str) -> Json:
        """Build groundingMetadata; `origin` is the address of the redirects. Segments are measured in
        bytes."""
        sources = [{"web": {"uri": origin + redirect_for(page), "title": page.site}} for page in self.pages]
        supports: list[Json] = []
        start = len(self._opening.encode())
        for index, page in enumerate(self.pages):
            sentence = self._sentence_on(page)
            end = start + len(sentence.encode())
            segment = {"startIndex": start, "endIndex": end, "text": sentence}
            supports.append({"segment": segment, "groundingChunkIndices": [index]})
            start = end + 1
        return {
            "webSearchQueries": [self.query],
            "groundingChunks": sources,
            "groundingSupports": supports,
        }


def search(request: Json) -> Found:
    """Search for the last line of a ``request`` (the envelope's member, names in camelCase)."""
    texts = [_texts_in(content) for content in [request.get("systemInstruction") or {}, *request["contents"]]]
    last_line = texts[-1].strip().rpartition("\n")[2]
    query = " ".join(_INTRODUCTION.split(last_line)[-1].split())[:_LONGEST_QUERY]
    slug = "-".join(re.findall(r"[a-z0-9]+", query.lower())) or "index"
    named = dict.fromkeys(host.lower() for host in _HOST.findall("\n".join(texts)))
    return Found(query, [Page(site, slug) for site in dict.fromkeys([*named, *_SITES])])


def _texts_in(content: Json) -> str:
    return "\n".join(part["text"] for part in content.get("parts") or [] if "text" in part)


def redirect_for(page: Page) -> str:
    """Return the path of the redirect to an address."""
    return REDIRECT_PATH + _ID_START + base64.urlsafe_b64encode(page.url.encode()).decode().rstrip("=")


async def redirect(exchange: GoogleExchange) -> web.StreamResponse:
    """Answer HEAD only: clients should not fetch a page to learn its address."""
    if exchange.web_request.method != "HEAD":
        exchange.note(outcome="refused", status=405)
        return web.Response(status=405)
    location = _location_in(exchange.web_request.match_info["id"])
    exchange.note(outcome="answered", status=302)
    return web.Response(status=302, headers={"Location": location})


def _location_in(id_: str) -> str:
    encoded = id_.removeprefix(_ID_START)
    try:
        padded = encoded + "=" * (-len(encoded) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise google_errors.not_found() from error
