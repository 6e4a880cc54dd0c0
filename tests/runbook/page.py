"""The code blocks of docs/runbook.md, in their order.

```sh      commands, which are run
```dotenv  lines for `.env`
```text    what the block before prints: each line is looked for in its output, with anything in place of …
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.live_gateway import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = PROJECT / "docs" / "runbook.md"
BLOCK_OR_HEADING = re.compile(
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$|^##+ (?P<heading>[^\n]+)$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    section: str
    """The heading above it."""
    language: str
    text: str

    @property
    def first_line(self) -> str:
        return self.text.split("\n", 1)[0]


def blocks(page: str) -> list[Block]:
    return list(_blocks(page))


def _blocks(page: str) -> Iterator[Block]:
    section, number = "", 0
    for found in BLOCK_OR_HEADING.finditer(page):
        if found["heading"]:
            section = found["heading"]
            continue
        number += 1
        yield Block(number, section, found["language"], found["text"].rstrip("\n"))


def fences(page: str) -> int:
    """How many lines begin or end a block, also within lists and quotes."""
    return len(re.findall(r"^[ >]*(?:```|~~~)", page, re.MULTILINE))


def missing_lines(expected: str, output: str) -> list[str]:
    """The lines of a `text` block that are not in the output."""
    printed = "\n".join(line.rstrip() for line in output.splitlines())
    lines = [line for line in expected.splitlines() if line.strip() not in {"", "…"}]
    return [line for line in lines if not _is_in(line, printed)]


def _is_in(line: str, printed: str) -> bool:
    pattern = ".*".join(map(re.escape, line.rstrip().split("…")))
    return re.search(f"^{pattern}$", printed, re.MULTILINE) is not None
