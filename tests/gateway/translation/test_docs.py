"""docs/translation.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.gateway.translation.docs_tables import PAGE, TABLES, with_tables

ROOT = PAGE.parents[1]
TEXT = PAGE.read_text()
DEFECTS = re.findall(r"^\| (T\d+) \|.*\| (.+?) \|$", TEXT, re.MULTILINE)
# In this file's folder unless a path is given.
TEST = re.compile(r"`((?:[\w/]+/)?test_\w+\.py)::(test_\w+)`")
COMING = {"T30"}


def test_the_tables_are_those_of_the_code() -> None:
    """After a change: python -m tests.gateway.translation.docs_tables"""
    assert with_tables(TEXT) == TEXT


def test_every_table_is_shown() -> None:
    assert all(f"<!-- table {name} -->" in TEXT for name in TABLES)


def test_every_known_defect_has_its_row() -> None:
    assert [name for name, _ in DEFECTS] == [f"T{number}" for number in range(1, 39)]


@pytest.mark.parametrize(("defect", "shown_by"), DEFECTS)
def test_the_tests_that_show_it_right_exist(defect: str, shown_by: str) -> None:
    named = TEST.findall(shown_by)
    assert named or shown_by == "coming"
    assert shown_by.startswith("coming") is (defect in COMING)
    for file, test in named:
        paths = [ROOT / file] if "/" in file else Path(__file__).parents[1].rglob(file)
        texts = "".join(path.read_text() for path in paths)
        assert re.search(rf"^\s*(async )?def {test}\(", texts, re.MULTILINE), f"{file}::{test}"
