"""Translation of Google's groundingMetadata into the sources of an answer.

    {"webSearchQueries": ["..."],
     "groundingChunks": [{"web": {"uri", "title"}}],
     "groundingSupports": [{"segment": {"text"}, "groundingChunkIndices": [0, 2]}]}

Any of it may be missing or of another type. Titles are often just the name of the site.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from accounts.values.outside import as_list, as_object
from accounts.values.sanitize import UNSAFE
from gateway.translation.web_search.domains import Domains, host_of, is_web_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


MAX_SOURCES = 20
MAX_CHUNKS = 200
MAX_SUPPORTS = 500
LONGEST_TITLE = 200
LONGEST_QUERY = 400
LONGEST_TEXT = 500
TEXTS_OF_A_SOURCE = 8


@dataclass(frozen=True, slots=True)
class Source:
    """A page that the answer cites. ``texts`` are the passages of the answer that cite it."""

    address: str
    title: str
    texts: tuple[str, ...] = ()


def one_line(text: object, length: int) -> str:
    """Return the text without control characters and line breaks, cut to ``length``; empty for what is no
    text."""
    if not isinstance(text, str):
        return ""
    return " ".join(UNSAFE.sub(" ", text[: 4 * length]).split())[:length].strip()


def query_in(metadata: Mapping[str, Any]) -> str:
    """Return the first query that was searched for, or an empty text."""
    queries = as_list(metadata.get("webSearchQueries"))[:MAX_SOURCES]
    return next(filter(None, (one_line(query, LONGEST_QUERY) for query in queries)), "")


def sources_in(metadata: Mapping[str, Any]) -> list[Source]:
    """Return at most MAX_SOURCES, each address once, in Google's order."""
    chunks = as_list(metadata.get("groundingChunks"))[:MAX_CHUNKS]
    texts = _texts_by_chunk(metadata)
    found = (_source(chunk, texts.get(index, ())) for index, chunk in enumerate(chunks))
    return _each_once(source for source in found if source is not None)[:MAX_SOURCES]


def to_show(sources: Iterable[Source], locations: Mapping[str, str | None], domains: Domains) -> list[Source]:
    """Return the sources with redirects resolved, filtered by the domains.

    ``locations`` maps every redirect to its target, or to None when it is unknown. The domain of an
    unresolved redirect is unknown, so it is shown only when all domains are allowed.
    """
    shown = []
    for source in sources:
        address = locations.get(source.address, source.address)
        if not is_web_address(address):
            if domains.allows_all:
                shown.append(source)
        elif domains.allows(address):
            shown.append(replace(source, address=address))
    return _each_once(shown)


def _source(chunk: object, texts: Iterable[str]) -> Source | None:
    web = as_object(as_object(chunk).get("web"))
    address = web.get("uri")
    if not is_web_address(address):
        return None
    title = one_line(web.get("title"), LONGEST_TITLE) or host_of(address)
    return Source(address, title, tuple(texts))


def _texts_by_chunk(metadata: Mapping[str, Any]) -> dict[int, list[str]]:
    """Return the passages that cite each chunk, by its index."""
    texts: dict[int, list[str]] = {}
    for support in map(as_object, as_list(metadata.get("groundingSupports"))[:MAX_SUPPORTS]):
        text = one_line(as_object(support.get("segment")).get("text"), LONGEST_TEXT)
        for index in as_list(support.get("groundingChunkIndices"))[:MAX_SOURCES] if text else ():
            if isinstance(index, int):
                known = texts.setdefault(index, [])
                if len(known) < TEXTS_OF_A_SOURCE and text not in known:
                    known.append(text)
    return texts


def _each_once(sources: Iterable[Source]) -> list[Source]:
    """Merge sources of the same address: the first title, and the texts of all."""
    by_address: dict[str, Source] = {}
    for source in sources:
        known = by_address.get(source.address)
        if known is not None:
            texts = tuple(dict.fromkeys((*known.texts, *source.texts)))[:TEXTS_OF_A_SOURCE]
            source = replace(known, texts=texts)
        by_address[source.address] = source
    return list(by_address.values())
