from __future__ import annotations

import json

import pytest

from proxy_site.doctor.findings import Finding, ok, problem, skipped, unexpected, warning
from proxy_site.doctor.report import as_json, exit_status, lines_of, summary

GOOD = ok("Disk", "there is room")
BAD = problem("Port", "it is taken", "Stop the other one.")
SO_SO = warning("Clock", "it is late", "Set it.", ("a detail",))
ABSENT = skipped("Server", "it does not run")


@pytest.mark.parametrize(
    ("found", "status"),
    [([], 0), ([GOOD, ABSENT], 0), ([GOOD, SO_SO], 3), ([SO_SO, BAD], 1), ([BAD], 1)],
)
def test_the_exit_status_tells_problems_from_warnings(found: list[Finding], status: int) -> None:
    assert exit_status(found) == status


def test_a_finding_is_a_line_with_its_next_step_below() -> None:
    assert lines_of(BAD, None) == [
        "PROBLEM  Port            it is taken",
        "                         -> Stop the other one.",
    ]


def test_details_stand_between_sentence_and_next_step() -> None:
    assert [line.strip() for line in lines_of(SO_SO, None)][1:] == ["a detail", "-> Set it."]


def test_a_terminal_gets_lines_of_its_width() -> None:
    lines = lines_of(problem("Port", "word " * 40, "step " * 40), 80)

    assert len(lines) > 6
    assert max(map(len, lines)) <= 80


def test_nothing_in_a_finding_controls_the_terminal() -> None:
    text = "\n".join(lines_of(problem("Port", "taken by \x1b[2Jevil\nok   Disk", "step\r"), None))

    assert "\x1b" not in text
    assert text.count("\n") == 1


def test_the_summary_counts() -> None:
    assert summary([GOOD, BAD, BAD, SO_SO]) == "2 problems, 1 warning. 1 checks are ok, 0 did not apply."
    assert summary([GOOD]).startswith("Nothing wrong was found.")


def test_json_has_the_form_of_all_commands() -> None:
    said = json.loads(as_json([GOOD, BAD]))

    assert (said["ok"], said["error"].startswith("1 problem")) == (False, True)
    assert said["rows"][1] == {
        "name": "Port",
        "state": "problem",
        "sentence": "it is taken",
        "next_step": "Stop the other one.",
        "details": [],
    }
    assert json.loads(as_json([SO_SO]))["ok"] is True


def test_a_check_that_fails_itself_is_a_problem_without_a_traceback() -> None:
    found = unexpected("Disk", ValueError("first line\nsecond line"))

    assert "ValueError" in found.sentence
    assert found.details == ("first line",)
