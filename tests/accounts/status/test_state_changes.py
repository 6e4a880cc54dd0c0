from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account
from accounts.status.state_changes import enter_state
from tests.live_gateway import free_port

if TYPE_CHECKING:
    from pytest_django import Settings

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.django_db(transaction=True)

OUT_OF_USE = ["invalid", "needs_verification", "disabled_by_provider", "needs_project"]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]


def verify(email: str = "ada@example.com") -> bool:
    """Whether the account works, by the command's result."""
    try:
        call_command("verifyaccounts", email)
    except CommandError:
        return False
    return True


# In the log


@pytest.mark.parametrize("state", OUT_OF_USE)
def test_leaving_the_pool_is_logged_once_with_the_action(
    ada: Account, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    for reason in ("Google said so.", "Google said so.", "Google said so in other words."):
        enter_state(ada.pk, state, reason)

    (line,) = errors(caplog)
    assert line.startswith(f"ada@example.com is out of use: {Account.State(state).label}. Google said so.")
    assert "ada@example.com" in line.partition("manage.py ")[2]
    ada.refresh_from_db()
    assert ada.state_reason == "Google said so in other words."


def test_leaving_the_pool_again_is_logged_again(ada: Account, caplog: pytest.LogCaptureFixture) -> None:
    for state in ("invalid", "ok", "invalid"):
        enter_state(ada.pk, state, "Google said so.")

    assert len(errors(caplog)) == 2


def test_an_expired_sign_in_is_logged_once(
    ada: Account, google: EmulatorServer, caplog: pytest.LogCaptureFixture
) -> None:
    google.state.revoke("ada@example.com")

    assert [verify(), verify()] == [False, False]
    assert len(errors(caplog)) == 1
    assert "ada@example.com is out of use: Sign-in expired." in errors(caplog)[0]


# What verifyaccounts tries


@pytest.mark.parametrize("fault", ["verification_required", "account_disabled"])
def test_a_refused_model_call_is_repeated_before_the_state_resets(
    ada: Account, google: EmulatorServer, fault: str
) -> None:
    state = {"verification_required": "needs_verification", "account_disabled": "disabled_by_provider"}[fault]
    enter_state(ada.pk, state, "Google said so to a request.")
    google.state.fault(fault, account="ada@example.com", times=None)

    assert not verify()
    ada.refresh_from_db()
    assert ada.state == state

    google.state.clear_scripts()
    assert verify()
    ada.refresh_from_db()
    assert ada.state == "ok"


@pytest.mark.parametrize(("fault", "works"), [("quota_exhausted", True), ("internal", False)])
def test_a_limit_passes_the_check_and_a_failure_does_not(
    ada: Account, google: EmulatorServer, fault: str, works: bool
) -> None:
    enter_state(ada.pk, "needs_verification", "Google said so to a request.")
    google.state.fault(fault, account="ada@example.com", times=None)

    assert verify() is works


def test_an_account_in_state_ok_makes_no_model_call(ada: Account, google: EmulatorServer) -> None:
    assert verify()

    assert not google.state.log.generations()


def test_an_unreachable_network_is_reported_with_the_settings(ada: Account, settings: Settings) -> None:
    settings.OAUTH_TOKEN_URL = f"http://127.0.0.1:{free_port()}/token"
    enter_state(ada.pk, "needs_verification", "Google said so to a request.")

    with pytest.raises(CommandError, match=r"network and at the settings HTTPS_PROXY, NO_PROXY and SSL_CERT"):
        call_command("verifyaccounts")

    ada.refresh_from_db()
    assert (ada.state, ada.state_reason) == ("needs_verification", "Google said so to a request.")
