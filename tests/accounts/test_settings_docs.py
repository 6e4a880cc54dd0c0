"""docs/settings.md and .env.example name the settings there are, no more and no fewer."""

from __future__ import annotations

import ast
import re

from django.conf import settings

from tests.live_gateway import PROJECT

READERS = {
    "boolean", "certificates", "database", "fraction", "header", "hosts", "integer", "keys", "listing",
    "networks", "path", "safe_url", "text", "time_zone", "timeout", "url", "urls",
}  # fmt: skip


def settings_that_are_read() -> set[str]:
    tree = ast.parse((PROJECT / "proxy_site/settings.py").read_text())
    names = {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in READERS
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }
    return {name for name in names if isinstance(name, str) and name.isupper()}


def rows_of_the_table() -> dict[str, str]:
    """By name: the first cell, with its star if it has one."""
    text = (PROJECT / "docs/settings.md").read_text()
    cells = re.findall(r"^\| (`[^|]+) \|", text, flags=re.MULTILINE)
    return {name: cell for cell in cells for name in re.findall(r"`([A-Z_]+)`", cell)}


def test_the_table_names_every_setting() -> None:
    assert set(rows_of_the_table()) == settings_that_are_read()


def test_the_star_marks_what_can_be_changed_live() -> None:
    marked = {name for name, cell in rows_of_the_table().items() if cell.endswith("*")}

    assert marked == set(settings.LIVE_SETTINGS)


def test_the_example_file_names_only_settings_there_are() -> None:
    names = re.findall(r"^# ([A-Z_]+)=", (PROJECT / ".env.example").read_text(), flags=re.MULTILINE)

    assert names
    assert set(names) <= settings_that_are_read()
