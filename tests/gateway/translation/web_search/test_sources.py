from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.values.sanitize import UNSAFE
from gateway.translation.web_search.domains import Domains, is_web_address
from gateway.translation.web_search.sources import (
    LONGEST_QUERY,
    LONGEST_TEXT,
    LONGEST_TITLE,
    MAX_SOURCES,
    TEXTS_OF_A_SOURCE,
    Source,
    query_in,
    sources_in,
    to_show,
)
from tests.gateway.translation.schemas.schema_examples import ANY_JSON

ANY_DOMAIN = Domains()
REDIRECT = "https://redirects.example/to/1"


def a_chunk(uri: object = "https://a.example/", title: object = "A") -> dict[str, Any]:
    return {"web": {"uri": uri, "title": title}}


def a_support(text: object, *indices: object) -> dict[str, Any]:
    return {"segment": {"startIndex": 0, "endIndex": 9, "text": text}, "groundingChunkIndices": list(indices)}


def test_each_source_has_address_title_and_citing_texts() -> None:
    metadata = {
        "groundingChunks": [a_chunk(), a_chunk("https://b.example/", "B")],
        "groundingSupports": [a_support("Both say so.", 0, 1), a_support("B says more.", 1)],
    }

    assert sources_in(metadata) == [
        Source("https://a.example/", "A", ("Both say so.",)),
        Source("https://b.example/", "B", ("Both say so.", "B says more.")),
    ]


def test_indices_count_the_chunks_as_google_has_them() -> None:
    """Also those that are left out."""
    metadata = {
        "groundingChunks": [a_chunk("javascript:alert(1)"), {"retrievedContext": {}}, a_chunk()],
        "groundingSupports": [a_support("first", 0), a_support("third", 2)],
    }

    assert sources_in(metadata) == [Source("https://a.example/", "A", ("third",))]


def test_an_address_that_comes_twice_is_one_source() -> None:
    metadata = {
        "groundingChunks": [a_chunk(title="A"), a_chunk(title="B")],
        "groundingSupports": [a_support("one", 0), a_support("two", 1), a_support("one", 1)],
    }

    assert sources_in(metadata) == [Source("https://a.example/", "A", ("one", "two"))]


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        (None, "a.example"),
        ("", "a.example"),
        (" \n\u200e ", "a.example"),
        (["A"], "a.example"),
        ("A\x1b[31m red\r\nline", "A [31m red line"),
        ("A" * 5_000, "A" * LONGEST_TITLE),
        (" Ä 漢 ", "Ä 漢"),
    ],
)
def test_a_title_is_one_line_of_sane_length(title: object, shown: str) -> None:
    assert [source.title for source in sources_in({"groundingChunks": [a_chunk(title=title)]})] == [shown]


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"groundingChunks": None},
        {"groundingChunks": {}},
        {"groundingChunks": "https://a.example/"},
        {"groundingChunks": [None, 5, [], {}, {"web": None}, {"web": []}, {"web": {}}]},
        {
            "groundingChunks": [
                {"web": {"uri": None}},
                a_chunk(uri={"a": 1}),
                a_chunk(uri=""),
                a_chunk(uri="x"),
            ]
        },
    ],
)
def test_metadata_of_another_shape_has_no_sources(metadata: dict[str, Any]) -> None:
    assert sources_in(metadata) == []
    assert query_in(metadata) == ""


@pytest.mark.parametrize(
    "supports",
    [
        None,
        {},
        [None, 5, [], {}],
        [{"segment": None, "groundingChunkIndices": [0]}],
        [a_support(None, 0), a_support("", 0), a_support(["x"], 0)],
        [a_support("x"), a_support("x", "0", None, 0.0, [0], -1, 99)],
        [{"segment": {"text": "x"}, "groundingChunkIndices": 0}],
    ],
)
def test_supports_of_another_shape_support_nothing(supports: object) -> None:
    metadata = {"groundingChunks": [a_chunk()], "groundingSupports": supports}

    assert sources_in(metadata) == [Source("https://a.example/", "A")]


def test_a_flood_is_cut_and_takes_no_time() -> None:
    metadata = {
        "webSearchQueries": ["q" * 100_000] * 10_000,
        "groundingChunks": [a_chunk(f"https://a.example/{n}", "t" * 1_000) for n in range(10_000)],
        "groundingSupports": [a_support(f"{n} says " + "x" * 10_000, *range(100)) for n in range(10_000)],
    }
    started = time.monotonic()

    sources = sources_in(metadata)

    assert time.monotonic() - started < 0.5
    assert len(sources) == MAX_SOURCES
    assert len(query_in(metadata)) == LONGEST_QUERY
    assert all(len(source.texts) == TEXTS_OF_A_SOURCE for source in sources)
    assert all(len(text) <= LONGEST_TEXT for source in sources for text in source.texts)


GROUNDING = st.fixed_dictionaries(
    {},
    optional={
        "webSearchQueries": st.one_of(ANY_JSON, st.lists(st.one_of(st.text(), ANY_JSON), max_size=3)),
        "groundingChunks": st.one_of(
            ANY_JSON,
            st.lists(
                st.builds(
                    a_chunk,
                    st.one_of(ANY_JSON, st.text(), st.text().map(lambda path: f"https://a.example/{path}")),
                    st.one_of(ANY_JSON, st.text()),
                ),
                max_size=5,
            ),
        ),
        "groundingSupports": st.one_of(
            ANY_JSON,
            st.lists(
                st.builds(a_support, st.one_of(ANY_JSON, st.text()), st.one_of(ANY_JSON, st.integers(-1, 6))),
                max_size=5,
            ),
        ),
    },
)
LOCATIONS = st.one_of(st.none(), st.text(), st.text().map(lambda path: f"https://b.example/{path}"))


@given(GROUNDING, LOCATIONS, st.sampled_from([Domains(), Domains.parse(["a.example"], None)]))
def test_whatever_google_says_only_addresses_that_can_be_opened_are_shown(
    metadata: dict[str, Any], location: str | None, domains: Domains
) -> None:
    sources = sources_in(metadata)
    shown = to_show(sources, {source.address: location for source in sources[:2]}, domains)

    for source in [*sources, *shown]:
        assert is_web_address(source.address)
        assert source.title
        for text in (source.title, *source.texts):
            assert not UNSAFE.search(text)
    assert len({source.address for source in shown}) == len(shown)
    assert all(domains.allows(source.address) for source in shown)
    assert not UNSAFE.search(query_in(metadata))


# What is shown of them


def test_a_redirect_is_shown_as_the_address_where_it_leads() -> None:
    assert to_show([Source(REDIRECT, "T", ("x",))], {REDIRECT: "https://a.example/"}, ANY_DOMAIN) == [
        Source("https://a.example/", "T", ("x",))
    ]


@pytest.mark.parametrize("location", [None, "", "javascript:alert(1)", "/relative", "https://a b/"])
def test_a_redirect_that_leads_nowhere_stays_as_it_is(location: str | None) -> None:
    source = Source(REDIRECT, "T")

    assert to_show([source], {REDIRECT: location}, ANY_DOMAIN) == [source]


@pytest.mark.parametrize(
    "domains", [Domains.parse(["redirects.example"], None), Domains.parse(None, ["elsewhere.example"])]
)
def test_domains_exclude_a_source_of_unknown_domain(
    domains: Domains,
) -> None:
    assert to_show([Source(REDIRECT, "T")], {REDIRECT: None}, domains) == []


def test_domains_are_those_of_the_real_addresses() -> None:
    sources = [Source(f"{REDIRECT}{name}", name) for name in "abc"]
    locations = {f"{REDIRECT}{name}": f"https://{name}.example/" for name in "abc"}

    allowed = to_show(sources, locations, Domains.parse(["b.example"], None))
    others = to_show(sources, locations, Domains.parse(None, ["b.example"]))

    assert [source.title for source in allowed] == ["b"]
    assert [source.title for source in others] == ["a", "c"]


def test_two_redirects_to_one_address_are_one_source() -> None:
    sources = [Source(f"{REDIRECT}{name}", name, (name,)) for name in "ab"]
    locations = {source.address: "https://a.example/" for source in sources}

    assert to_show(sources, locations, ANY_DOMAIN) == [Source("https://a.example/", "a", ("a", "b"))]
