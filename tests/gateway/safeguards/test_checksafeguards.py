"""manage.py checksafeguards against the emulator."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
from django.core.management import CommandError, call_command

from accounts import command_line
from accounts.models import Account
from tests.live_gateway import PROJECT, LiveGateway, accounts_file, clean_environment, manage
from tests.safeguards.calls import FORTY_CALLS, KNOWN_CALLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.slow

MODEL = "gemini-3-flash"
A_FEW = ("build-folder", "localhost-health", "exfiltrate-key", "denied-push")


@pytest.fixture
def a_few(tmp_path: Path) -> str:
    file = json.loads(FORTY_CALLS.read_bytes())
    file["calls"] = [call for call in file["calls"] if call["name"] in A_FEW]
    path = tmp_path / "a_few.json"
    path.write_text(json.dumps(file))
    return str(path)


@pytest.fixture
def check(google: EmulatorServer, capfd: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Runs the command in this process, with the emulator's accounts in the database."""

    def run(*arguments: str) -> Finished:
        problem = ""
        try:
            call_command("checksafeguards", *arguments)
        except CommandError as error:
            problem = str(error)
        return Finished(*capfd.readouterr(), problem)

    return run


class Finished(NamedTuple):
    out: str
    err: str
    problem: str
    """The sentence of exit status 1."""

    @property
    def results(self) -> dict[str, str]:
        return {one["call"]: one["result"] for one in json.loads(self.out)["rows"]}


@pytest.mark.parametrize("model", [MODEL, "claude-sonnet-4-6"])
def test_it_prints_the_decisions_on_all_forty_and_the_totals(
    check: Callable[..., Finished], model: str
) -> None:
    finished = check("--model", model)

    lines = finished.out.splitlines()
    assert finished.problem == ""
    assert lines[0].split() == ["CALL", "EXPECTED", "DECISION", "RESULT", "TIME"]
    assert [line.split()[0] for line in lines[1:41]] == [call.name for call in KNOWN_CALLS]
    assert f"{model}, 40 calls: 40 right, 0 false positives" in lines[42]
    assert " in, " in lines[43]
    assert "median" in lines[43]
    assert finished.err.count("/40] ") == 40


def test_it_counts_what_was_judged_wrongly(
    check: Callable[..., Finished], google: EmulatorServer, a_few: str
) -> None:
    google.state.fault("wrong_decisions", kind="flipped", times=None)

    finished = check("--model", MODEL, "--calls", a_few, "--json")

    assert finished.problem == "2 dangerous calls passed as harmless, 0 calls got no decision."
    assert finished.results == {
        "build-folder": "false positive",
        "localhost-health": "false positive",
        "exfiltrate-key": "false negative",
        "denied-push": "false negative",
    }
    totals = json.loads(finished.out)["totals"]
    assert (totals["right"], totals["false_positives"], totals["false_negatives"]) == (0, 2, 2)
    assert totals["input_tokens"] > 4_000


def test_only_harmless_calls_flagged_are_no_failure(
    check: Callable[..., Finished], google: EmulatorServer, a_few: str
) -> None:
    google.state.fault("wrong_decisions", kind="flipped")

    finished = check("--model", MODEL, "--calls", a_few, "--at-once", "1")

    assert finished.problem == ""
    assert "build-folder, false positive: Nothing about it looks dangerous" in finished.out
    assert "1 false positive (harmless, but flagged)" in finished.out


def test_a_call_without_a_decision_is_a_failure_with_its_reason(
    check: Callable[..., Finished], google: EmulatorServer, a_few: str
) -> None:
    google.state.fault("wrong_decisions", kind="prose")

    finished = check("--model", MODEL, "--calls", a_few, "--at-once", "1")

    assert finished.problem == "0 dangerous calls passed as harmless, 1 call got no decision."
    assert "build-folder, no decision: " in finished.out
    assert "1 without a decision" in finished.out


def test_a_too_long_call_leaves_the_others_judged(
    check: Callable[..., Finished], google: EmulatorServer, a_few: str
) -> None:
    google.state.fault("prompt_too_long")

    finished = check("--model", MODEL, "--calls", a_few, "--at-once", "1")

    assert finished.problem == "0 dangerous calls passed as harmless, 1 call got no decision."
    assert "build-folder, no decision: " in finished.out
    assert "3 right" in finished.out


def test_calls_with_the_same_problem_share_one_line(
    check: Callable[..., Finished], google: EmulatorServer, a_few: str
) -> None:
    Account.objects.exclude(email="ada@example.com").delete()
    google.state.set_quota("ada@example.com", "gemini-cli", remaining=0)

    finished = check("--model", MODEL, "--calls", a_few)

    [line] = [line for line in finished.out.splitlines() if "no decision: " in line]
    assert line.startswith(f"{', '.join(A_FEW)}, no decision: ")
    assert "quota" in line
    assert finished.problem == "0 dangerous calls passed as harmless, 4 calls got no decision."


def test_it_tries_the_model_of_the_setting_when_none_is_named(
    check: Callable[..., Finished], live_setting: Callable[[str, Any], None], a_few: str
) -> None:
    live_setting("SAFEGUARDS_MODEL", "gemini-2.5-flash")

    finished = check("--calls", a_few, "--json")

    assert json.loads(finished.out)["model"] == "gemini-2.5-flash"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Which model? --model names one to try"),
        (["--model", "nonsense"], "model: nonsense is not known here. There is: claude-"),
        (["--model", MODEL, "--calls", "nowhere.json"], "nowhere.json cannot be read: No such file"),
        (["--model", MODEL, "--calls", "manage.py"], "manage.py: no JSON: "),
    ],
)
def test_what_is_missing_is_one_sentence(
    check: Callable[..., Finished], arguments: list[str], sentence: str
) -> None:
    finished = check(*arguments)

    assert sentence in finished.problem
    assert finished.out == ""


def test_without_accounts_it_says_how_to_add_one(check: Callable[..., Finished]) -> None:
    Account.objects.all().delete()

    advice = f"Add one with `{command_line.manage('addaccount')}`"
    assert f"There is no account yet. {advice}" in check("--model", MODEL).problem


def test_when_interrupted_it_prints_what_there_is(emulator: EmulatorServer, tmp_path: Path) -> None:
    env = clean_environment(tmp_path, **emulator.gateway_settings())
    manage("importaccounts", "-", "--accept-terms", env=env, stdin=accounts_file(emulator))
    emulator.state.fault("stall_before_headers", seconds=0.2, purpose="safeguards", times=None)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "checksafeguards", "--model", MODEL, "--at-once", "1"],
        cwd=PROJECT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    process.stderr.readline()
    process.stderr.readline()

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert b"build-folder " in out
    assert b"of 40 calls" in out
    assert b"Stopped." in err
    assert b"Traceback" not in err


def test_a_server_beside_it_is_not_disturbed(
    live_gateway: LiveGateway, emulator: EmulatorServer, a_few: str
) -> None:
    finished = manage("checksafeguards", "--model", MODEL, "--calls", a_few, env=live_gateway.env)

    body = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
    answered = httpx.post(f"{live_gateway.url}/v1/messages", json=body)
    usage: Any = json.loads(manage("stats", "--json", env=live_gateway.env).stdout)
    assert finished.returncode == 0, finished.stderr
    assert answered.status_code == 200
    assert [row["requests"] for row in usage["rows"]] in ([], [1])  # the one above, once it is written
    assert len(emulator.state.log.generations(purpose="safeguards")) == len(A_FEW)
