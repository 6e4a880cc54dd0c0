"""The formats of the pages, in Python and in the browser's module: the same cases."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dashboard import formats

CASES: dict[str, list[list[Any]]] = json.loads((Path(__file__).parent / "formats.json").read_text())
MODULE = Path(formats.__file__).parent / "static/dashboard/formats.js"
SCRIPT = """
import { readFileSync } from "node:fs";
const source = readFileSync(process.argv[1], "utf8");
const formats = await import("data:text/javascript," + encodeURIComponent(source));
const cases = JSON.parse(process.argv[2]);
const shown = {};
for (const [name, pairs] of Object.entries(cases)) shown[name] = pairs.map(([value]) => formats[name](value));
console.log(JSON.stringify(shown));
"""


@pytest.mark.parametrize(
    ("name", "value", "text"), [(name, *pair) for name, pairs in CASES.items() for pair in pairs]
)
def test_python_formats_each_case(name: str, value: float | None, text: str) -> None:
    assert formats.FORMATS[name](value) == text


@pytest.mark.needs("node")
def test_the_browsers_module_formats_each_case() -> None:
    command = ["node", "--input-type=module", "-e", SCRIPT, str(MODULE), json.dumps(CASES)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == {name: [pair[1] for pair in pairs] for name, pairs in CASES.items()}
