"""Each package's docstring names what it imports of this project."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.live_gateway import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

APPS = ("accounts", "dashboard", "gateway", "proxy_site")
PACKAGES = sorted(
    file.parent.relative_to(PROJECT).as_posix().replace("/", ".")
    for app in APPS
    for file in (PROJECT / app).rglob("__init__.py")
    if ast.get_docstring(ast.parse(file.read_text()))
)
IMPORTS = re.compile(r"Imports\s+([a-z_,\s]+)[.;,]")
NOTHING = "nothing of this project"


def files_of(package: str) -> list[Path]:
    """With those of packages inside it that have no docstring of their own."""
    folder = PROJECT / package.replace(".", "/")
    inner = [PROJECT / other.replace(".", "/") for other in PACKAGES if other.startswith(f"{package}.")]
    return [file for file in folder.rglob("*.py") if not any(file.is_relative_to(other) for other in inner)]


def imported_by(file: Path) -> set[str]:
    """Modules that are imported when the file runs, as they are written."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {module for module in modules if module.split(".")[0] in APPS}


def named_from(package: str, module: str) -> str:
    """The first part of its name in which a module differs from a package; empty inside the package."""
    ours, theirs = package.split("."), module.split(".")
    shared = next((n for n, part in enumerate(ours) if part != theirs[n]), len(ours))
    return "" if shared == len(ours) else theirs[shared]


def imports_of(package: str) -> set[str]:
    names = {named_from(package, module) for file in files_of(package) for module in imported_by(file)}
    return names - {""}


@pytest.mark.parametrize("package", [package for package in PACKAGES if "." in package])
def test_a_package_names_what_it_imports(package: str) -> None:
    docstring = ast.get_docstring(
        ast.parse((PROJECT / package.replace(".", "/") / "__init__.py").read_text())
    )
    stated = IMPORTS.search(docstring or "")

    assert stated is not None
    assert set(re.split(r"\s+and\s+|,\s+", stated[1])) == (imports_of(package) or {NOTHING})
