"""requirements.txt pins what pyproject.toml asks for, with hashes and without saying where it comes from."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.live_gateway import PROJECT

TEXT = (PROJECT / "requirements.txt").read_text()
PINNED = re.compile(r"^(?P<name>[\w.-]+)(?:\[[\w,-]+\])?==(?P<version>[^ ;\\]+)", flags=re.MULTILINE)
PINS = {pin["name"].lower(): pin["version"] for pin in PINNED.finditer(TEXT)}
PROJECT_FILE = tomllib.loads((PROJECT / "pyproject.toml").read_text())
EXTRAS = PROJECT_FILE["project"]["optional-dependencies"]
WANTED = [
    Requirement(text)
    for texts in (PROJECT_FILE["project"]["dependencies"], *EXTRAS.values())
    for text in texts
]
BOUNDS = [Requirement(text) for text in PROJECT_FILE["tool"]["uv"]["constraint-dependencies"]]


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_each_dependency_is_pinned_to_a_version_it_allows(wanted: Requirement) -> None:
    assert wanted.specifier.contains(PINS[wanted.name.lower()])


@pytest.mark.parametrize("bound", BOUNDS, ids=str)
def test_dependencies_of_dependencies_stay_within_bounds(bound: Requirement) -> None:
    assert bound.specifier.contains(PINS[bound.name.lower()])


@pytest.mark.parametrize("name", EXTRAS)
def test_development_has_each_extra_in_the_same_versions(name: str) -> None:
    assert set(EXTRAS[name]) <= set(PROJECT_FILE["dependency-groups"]["dev"])


def test_every_line_is_a_pin_or_a_hash() -> None:
    lines = [line for line in TEXT.splitlines() if not line.startswith("#")]

    odd = [
        line
        for line in lines
        if not re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+|    --hash=sha256:[0-9a-f]{64}", line)
    ]
    assert odd == []


def test_every_pin_has_a_hash() -> None:
    for pin in re.split(r"^(?=[\w.-]+(?:\[[\w,-]+\])?==)", TEXT, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in pin


def test_it_names_no_index() -> None:
    assert "://" not in TEXT
    assert "index-url " not in TEXT.replace("--no-emit-index-url ", "")
