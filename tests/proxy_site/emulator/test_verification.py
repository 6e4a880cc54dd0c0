"""The page on which a person verifies an account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy_site.emulator.methods.verification import verification_url

if TYPE_CHECKING:
    import httpx

    from proxy_site.emulator.server import EmulatorServer

ADA = "ada@example.com"


def listing(http: httpx.Client) -> httpx.Response:
    return http.post("/v1internal:fetchAvailableModels", json={})


def test_one_click_verifies_the_account(google: EmulatorServer, http: httpx.Client) -> None:
    link = verification_url(google.url, ADA)
    google.state.require_verification(ADA, link)

    assert listing(http).status_code == 403
    assert "<form" in http.get(link).text
    assert listing(http).status_code == 403, "looking at the page is not enough"
    assert "is verified" in http.post(link).text
    assert listing(http).status_code == 200
    assert "<form" not in http.get(link).text


def test_an_unknown_account_is_not_found(google: EmulatorServer, http: httpx.Client) -> None:
    for email in ("", "nobody@example.com", "<script>"):
        assert http.get(verification_url(google.url, email)).status_code == 404
        assert http.post(verification_url(google.url, email)).status_code == 404
