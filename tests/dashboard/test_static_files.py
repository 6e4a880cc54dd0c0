"""What a first visit weighs, and whether each rule of the stylesheets is still needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.utils.text import slugify

import dashboard
from dashboard.requests.waterfall import Kind

if TYPE_CHECKING:
    from django.test import Client

FOLDER = Path(dashboard.__file__).parent
SHEETS = sorted((FOLDER / "static/dashboard").glob("*.css"))
GIVEN_ELSEWHERE = {"htmx-request", *map(slugify, get_args(Kind))}
"""Classes that htmx gives, and those that templates make of the kinds of a waterfall's parts."""
HEAVIEST_VISIT, LARGEST_PAGE = 380_000, 40_000
"""Bytes before compression, with all that the page loads; a page full of rows has so many itself."""


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_each_class_of_a_stylesheet_is_given_somewhere(sheet: Path) -> None:
    rules = re.sub(r"/\*.*?\*/|\{[^{}]*\}", " ", sheet.read_text(), flags=re.DOTALL)
    classes = set(re.findall(r"\.([a-zA-Z][\w-]*)", rules)) - GIVEN_ELSEWHERE
    writers = [file for suffix in ("html", "js", "py") for file in FOLDER.rglob(f"*.{suffix}")]
    words = set(re.findall(r"[a-zA-Z][\w-]*", " ".join(file.read_text() for file in writers)))

    assert classes - words == set()


@pytest.mark.parametrize("path", ["/", "/requests", "/accounts", "/logs", "/connect"])
def test_a_first_visit_is_light(operator: Client, path: str) -> None:
    page = operator.get(path).content
    files: dict[Path, int] = {}
    for address in re.findall(r'(?:href|src)="([^"]+)"', page.decode()):
        if address.startswith(settings.STATIC_URL):
            weigh(address.removeprefix(settings.STATIC_URL).partition("?")[0], files)

    assert {".css", ".js", ".woff2", ".svg"} == {file.suffix for file in files}
    assert 200_000 < sum(files.values()) <= HEAVIEST_VISIT - LARGEST_PAGE, files


def weigh(name: str, files: dict[Path, int]) -> None:
    """Add a static file, and those that it loads itself."""
    found = finders.find(name)
    assert isinstance(found, str), name
    file = Path(found)
    if file in files:
        return
    files[file] = file.stat().st_size
    if file.suffix in {".css", ".js"}:
        for other in re.findall(r'from "(\./[^"]+)"|url\(([^)"]+)\)', file.read_text()):
            weigh(str(Path(name).parent.joinpath("".join(other))).replace("dashboard/../", ""), files)
