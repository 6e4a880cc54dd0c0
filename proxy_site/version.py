"""The version of this code: `pyproject.toml` says it, and everything else asks here."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

PROJECT_FILE = Path(__file__).resolve().parent.parent / "pyproject.toml"


@cache
def version() -> str:
    """As PEP 440 writes it: "0.2.0", or "0.2.0.dev0" on the way there."""
    return str(tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8"))["project"]["version"])
