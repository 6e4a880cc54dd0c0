"""The blocks of docs/runbook.md do what the page says, one after the other as an operator types them."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from proxy_site.emulator.server import EmulatorServer
from proxy_site.emulator.state import EmulatorState
from tests.runbook.page import PAGE, Block, blocks, fences, missing_lines
from tests.runbook.plan import BEFORE, CLIENT_ID, ENDS_WITH, FIRST_SECRET, NOT_RUN, SIGN_IN, UNTIL_CTRL_C
from tests.runbook.walk import Walk, as_row
from tests.test_docs_quote_the_log import is_written

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

TEXT = PAGE.read_text()
BLOCKS = blocks(TEXT)
RUNNABLE = {"sh", "dotenv", "text"}


def quoted_messages() -> list[str]:
    """The gateway's own messages in the tables headed `it says`."""
    tables = re.findall(r"^\| it says \|.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    cells = [row.split(" | ")[0] for table in tables for row in table.splitlines()]
    ours = [cell for cell in cells if "(Google's words)" not in cell]
    return [message for cell in ours for message in re.findall(r"`([^`]+)`", cell)]


def test_every_block_does_what_the_page_says(tmp_path: Path) -> None:
    state = EmulatorState(client_id=CLIENT_ID, client_secret=FIRST_SECRET)
    with EmulatorServer(state) as google, Walk(tmp_path, google) as walk:
        outcomes = []
        for outcome in walk.run(BLOCKS):
            outcomes.append(outcome)
            sys.stdout.write(f"{as_row(outcome)}\n")
            assert outcome.problem == "", f"{outcome.block.text}\n{outcome.output}"

    assert [outcome.block for outcome in outcomes] == BLOCKS


def test_each_block_that_is_not_run_is_listed() -> None:
    assert {block.text for block in BLOCKS if block.language not in RUNNABLE} <= NOT_RUN.keys()


def test_each_listed_block_is_on_the_page() -> None:
    on_the_page = {block.text for block in BLOCKS}

    for listed in (NOT_RUN, UNTIL_CTRL_C, BEFORE, ENDS_WITH, SIGN_IN):
        assert set(listed) - on_the_page == set()


def test_no_block_escapes_the_reader() -> None:
    assert fences(TEXT) == 2 * len(BLOCKS)


@pytest.mark.parametrize("message", quoted_messages())
def test_a_message_on_the_page_is_written_by_the_code(message: str) -> None:
    assert is_written(message)


# The reader


def test_blocks_have_the_heading_above_them() -> None:
    page = "# P\n\n## One\n\n```sh\ntrue\n```\n\n### Two\n\n```text\na\nb\n```\n"

    assert blocks(page) == [Block(1, "One", "sh", "true"), Block(2, "Two", "text", "a\nb")]


def test_a_hidden_block_is_counted() -> None:
    assert fences("- a list\n\n  ```sh\n  rm -rf /\n  ```\n") == 2
    assert blocks("- a list\n\n  ```sh\n  rm -rf /\n  ```\n") == []


def test_a_line_that_was_not_printed_is_missing() -> None:
    printed = "one\ntwo 17 three\n"

    assert missing_lines("one\ntwo … three\n…", printed) == []
    assert missing_lines("on\ntwo\n…\nfour", printed) == ["on", "two", "four"]
