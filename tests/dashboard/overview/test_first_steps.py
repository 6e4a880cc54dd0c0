from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dashboard.overview.first_steps import first_steps

if TYPE_CHECKING:
    from django.test import Client


@pytest.mark.parametrize(("has_request", "has_test_message"), [(True, False), (False, True), (True, True)])
def test_steps_end_with_an_account_and_a_request(has_request: bool, has_test_message: bool) -> None:
    assert not first_steps(has_account=True, has_request=has_request, has_test_message=has_test_message)


@pytest.mark.parametrize("has_account", [False, True])
def test_done_steps_are_ticked(has_account: bool) -> None:
    steps = first_steps(has_account=has_account, has_request=False, has_test_message=False)
    assert [step.is_done for step in steps] == [has_account, False, False]


def test_the_first_visit_leads_from_step_to_step(operator: Client) -> None:
    page = operator.get("/").content.decode()
    steps = page[page.index("First steps") :]
    for address in ('href="/accounts/add"', 'href="/connect"'):
        assert address in steps
