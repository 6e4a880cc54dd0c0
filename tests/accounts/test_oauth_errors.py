"""Google's refusals: read from the addresses that people have published, and explained in the docs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.google.oauth_errors import REMEDIES, ErrorPage, explain, read_error_page
from accounts.values.sanitize import UNSAFE
from tests.accounts.values.any_json import TEXTS
from tests.live_gateway import PROJECT

ERROR_PAGE = "https://accounts.google.com/signin/oauth/error"
MISMATCH = (
    "ChVyZWRpcmVjdF91cmlfbWlzbWF0Y2gSsAEKWW91IGNhbid0IHNpZ24gaW4gdG8gdGhpcyBhcHAgYmVjYXVzZSBpdCBkb2Vzbid0IGNvb"
    "XBseSB3aXRoIEdvb2dsZSdzIE9BdXRoIDIuMCBwb2xpY3kuCgpJZiB5b3UncmUgdGhlIGFwcCBkZXZlbG9wZXIsIHJlZ2lzdGVyIHRoZSB"
    "yZWRpcmVjdCBVUkksIGluIHRoZSBHb29nbGUgQ2xvdWQgQ29uc29sZS4gIBptaHR0cHM6Ly9kZXZlbG9wZXJzLmdvb2dsZS5jb20vaWRl"
    "bnRpdHkvcHJvdG9jb2xzL29hdXRoMi93ZWItc2VydmVyI2F1dGhvcml6YXRpb24tZXJyb3JzLXJlZGlyZWN0LXVyaS1taXNtYXRjaCCQA"
    "w"
)
"""As Google sent it to the owner of another program, who has put it into the tests of that."""
NOT_FOUND = "Cg5pbnZhbGlkX2NsaWVudBIfVGhlIE9BdXRoIGNsaWVudCB3YXMgbm90IGZvdW5kLiCRAw%3D%3D"


@pytest.mark.parametrize(
    ("auth_error", "error", "said"),
    [
        (MISMATCH, "redirect_uri_mismatch", "\nYou can't sign in to this app because"),
        (NOT_FOUND, "invalid_client", "The OAuth client was not found."),
        ("disabled_client", "disabled_client", ""),
        ("////", "no reason given", ""),
    ],
)
def test_the_error_is_read_from_the_address(auth_error: str, error: str, said: str) -> None:
    page = read_error_page(f"{ERROR_PAGE}?authError={auth_error}&client_id=1&flowName=GeneralOAuthFlow")

    assert page is not None
    assert (page.error, page.said[: len(said)]) == (error, said)


@pytest.mark.parametrize(
    "address", ["", "http://[", ERROR_PAGE, "https://accounts.google.com/?authError=Cg5"]
)
def test_other_addresses_hold_no_error(address: str) -> None:
    assert read_error_page(address) is None


@settings(max_examples=300)
@given(st.text() | TEXTS | st.binary().map(lambda raw: raw.hex()))
def test_any_text_of_google_becomes_one_safe_line(text: str) -> None:
    page = read_error_page(f"{ERROR_PAGE}?authError={text}") or ErrorPage(text, text)

    assert not UNSAFE.search(explain(page.error, page.said))


def test_the_docs_have_a_row_for_each_refusal() -> None:
    table = (PROJECT / "docs/google-oauth.md").read_text().partition("## When Google refuses")[2]

    assert set(REMEDIES) <= set(re.findall("`([a-z_]+)`", table))
