"""Files and folders of the project that the docs name exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.live_gateway import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").glob("*.md"))]
IN_A_FOLDER = re.compile(r"`((?:accounts|benchmarks|dashboard|docs|gateway|proxy_site|tests)/[\w./-]*)")
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def named_files(page: Path) -> Iterator[Path]:
    text = page.read_text()
    yield from (PROJECT / path for path in IN_A_FOLDER.findall(text))
    yield from (page.parent / path for path in LINK.findall(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    assert [str(path) for path in named_files(page) if not path.exists()] == []


def test_the_pages_name_many_files() -> None:
    assert sum(len(set(named_files(page))) for page in PAGES) > 50
