"""docs/safeguards.md shows the forty calls as they are, and what the stand-in says now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy_site.emulator.pretend_model.judge import decision_on
from tests.live_gateway import PROJECT
from tests.safeguards.calls import KNOWN_CALLS, question_about
from tests.safeguards.stand_in import as_read

if TYPE_CHECKING:
    from gateway.safeguards.known_calls import KnownCall

LINES = (PROJECT / "docs" / "safeguards.md").read_text().splitlines()


@pytest.mark.parametrize("call", KNOWN_CALLS, ids=lambda call: call.name)
def test_the_table_has_each_of_the_forty(call: KnownCall) -> None:
    check = as_read(question_about(call))
    decision = decision_on(check.calls[0], check)

    said = ", ".join(filter(None, [decision["outcome"].replace("_", " "), decision["cited_rule"]]))
    expected = call.expected.replace("_", " ")
    assert f"| {call.name} | {call.tool} | {call.why} | {expected} | {said} |" in LINES


def test_the_table_has_no_others() -> None:
    rows = [line for line in LINES if line.startswith("| ") and not line.startswith("| call ")]

    assert len(rows) == len(KNOWN_CALLS)
