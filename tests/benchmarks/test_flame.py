from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.flame import EVENT_LOOP, as_text, spent_on, stacks_in, with_title
from tests.live_gateway import PROJECT

RAW = """\
thread (7): MainThread;main (/g/manage.py);GatewayServer.run (/g/proxy_site/serving/uvicorn.py) 10
thread (7): MainThread;lease (/g/accounts/pool/pool.py);f (<string>) 20
thread (7): MainThread;serve (/g/gateway/api/serve.py:7);get (/venv/site-packages/django/http/x.py) 10
thread (9): ledger_0;store (/g/gateway/ledger/writer.py) 90
"""


def test_a_stack_counts_for_the_topmost_layer() -> None:
    stacks = stacks_in(RAW, Path("/g"))

    assert dict(stacks.layers) == {EVENT_LOOP: 10, "pool": 20, "Django": 10}
    assert stacks.threads == {7: "MainThread", 9: "ledger_0"}


def test_the_cpu_of_the_event_loop_is_divided_and_other_threads_have_their_own() -> None:
    spent = spent_on(stacks_in(RAW, Path("/g")), {7: 400e-6, 9: 20e-6, 11: 3e-6})

    assert spent.layers == pytest.approx({EVENT_LOOP: 100e-6, "pool": 200e-6, "Django": 100e-6})
    assert spent.threads == pytest.approx({"event loop": 400e-6, "ledger": 20e-6, "others": 3e-6})
    assert "400 → 400" in as_text({"W1": {"before": spent, "now": spent}})


def test_a_graph_has_a_title_instead_of_a_command() -> None:
    graph = '<svg><text id="title" x="50%">/venv/bin/py-spy record --pid 7</text><text id="a">b</text></svg>'

    titled = with_title(graph, "W1 & more")

    assert titled == '<svg><text id="title" x="50%">W1 &amp; more</text><text id="a">b</text></svg>'


@pytest.mark.full
@pytest.mark.needs("haproxy")
@pytest.mark.needs("wrk")
def test_it_records_a_gateway_under_load(tmp_path: Path) -> None:
    arguments = [str(tmp_path), "--commit", ".", "--seconds", "1", "--only", "W1"]
    finished = subprocess.run(
        [sys.executable, "benchmarks/flame.py", *arguments],
        cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    if "ermission denied" in finished.stderr:
        pytest.skip("py-spy may not read other processes here")
    assert finished.returncode == 0, finished.stderr
    assert "| event loop " in finished.stdout
    assert "| pool " in finished.stdout
    for name in ("before-W1.svg", "now-W1.svg"):
        assert "<svg" in (tmp_path / name).read_text()
