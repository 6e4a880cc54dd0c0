from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.web_search.domains import (
    MAX_DOMAINS,
    Domains,
    UnreadableDomain,
    host_of,
    is_web_address,
)

# The examples of Anthropic's page on the web search tool, and their like.
COVERED = [
    ("example.com", "https://example.com", True),
    ("example.com", "https://example.com/anything?at=all#here", True),
    ("example.com", "http://docs.example.com:8080/", True),
    ("docs.example.com", "https://docs.example.com/", True),
    ("docs.example.com", "https://example.com/", False),
    ("docs.example.com", "https://api.example.com/", False),
    ("example.com", "https://notexample.com/", False),
    ("example.com", "https://example.com.evil.org/", False),
    ("example.com", "https://evil.org/example.com", False),
    ("EXAMPLE.com", "https://Example.COM./", True),
    ("example.com/blog", "https://example.com/blog", True),
    ("example.com/blog", "https://example.com/blog/", True),
    ("example.com/blog", "https://example.com/blog/post-1", True),
    ("example.com/blog/", "https://example.com/blog/post-1", True),
    ("example.com/blog", "https://example.com/blogroll", False),
    ("example.com/blog", "https://example.com/", False),
    ("example.com/blog", "https://example.com/other/../%62log/post", True),
    ("example.com/", "https://example.com/anything", True),
    ("example.com/*", "https://example.com/anything", True),
    ("example.com/*/articles", "https://example.com/2026/articles/one", True),
    ("example.com/*/articles", "https://example.com/2026/pictures", False),
    ("bücher.example", "https://xn--bcher-kva.example/", True),
    ("xn--bcher-kva.example", "https://bücher.example/", True),
]


@pytest.mark.parametrize(("domain", "address", "covered"), COVERED)
def test_a_domain_covers_what_anthropics_page_says(domain: str, address: str, covered: bool) -> None:
    assert Domains.parse([domain], None).allows(address) is covered
    assert Domains.parse(None, [domain]).allows(address) is not covered


@pytest.mark.parametrize(
    "domain",
    [
        "", " ", "https://example.com", "*.example.com", "ex*.com", "example.com/*/*", "user@example.com",
        "example.com:443", "exa mple.com", "-example.com", "/blog", "example.com" + "/a" * 300,
    ],
)  # fmt: skip
def test_what_is_no_domain_is_not_guessed_at(domain: str) -> None:
    with pytest.raises(UnreadableDomain):
        Domains.parse([domain], None)


def test_both_lists_at_once_are_refused_as_anthropic_refuses_them() -> None:
    with pytest.raises(UnreadableDomain):
        Domains.parse(["example.com"], ["example.org"])


def test_more_domains_than_anybody_needs_are_refused() -> None:
    with pytest.raises(UnreadableDomain):
        Domains.parse(None, ["example.com"] * (MAX_DOMAINS + 1))


@pytest.mark.parametrize("listed", [None, []])
def test_no_list_and_an_empty_one_let_everything_through(listed: list[str] | None) -> None:
    domains = Domains.parse(listed, listed)

    assert domains.allows_all
    assert domains.allows("https://example.com/")


@pytest.mark.parametrize(
    "address",
    [
        "https://example.com", "http://example.com:8080/a?b#c", "https://bücher.example/", "https://[::1]/",
        "https://a_b.example.com/x",
    ],
)  # fmt: skip
def test_an_address_that_a_person_can_open(address: str) -> None:
    assert is_web_address(address)


@pytest.mark.parametrize(
    "address",
    [
        None, 5, "", "example.com", "//example.com", "javascript:alert(1)", "data:text/html,x", "file:///etc",
        "ftp://example.com/", "https://", "https:///path", "https://user@example.com/",
        "https://good.example@evil.example/", "https://evil.example\\@good.example/",
        "https://good.example\\.evil.example/", "https://exa mple.com/", "https://example.com/\n",
        "https://example.com/\u202egnp.exe", "https://example.com:99999/", "https://example.com:0/",
        "https://exam%2eple.com/", "https://[::1/", "https://example.com/" + "a" * 3000, 'https://e.com/"onx',
    ],
)  # fmt: skip
def test_an_address_that_misleads_or_does_more_than_open_is_none(address: object) -> None:
    assert not is_web_address(address)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_texts_can_be_compared(domain: str, address: str) -> None:
    for one in (address, f"https://{address}"):
        if is_web_address(one):
            assert host_of(one)
            with suppress(UnreadableDomain):
                Domains.parse([domain], None).allows(one)
