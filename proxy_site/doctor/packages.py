"""Checks of Python and the packages. Standard library only, since this runs when every package is missing."""

from __future__ import annotations

import platform
import re
import sys
import tomllib
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from proxy_site.doctor.findings import Finding, ok, problem, warning
from proxy_site.version import PROJECT_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable

PROJECT = PROJECT_FILE.parent
NAME = re.compile(r"[A-Za-z0-9._-]+")
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)", re.MULTILINE)
COMPILED = (
    "aiohttp", "backports.zstd", "cryptography.fernet", "httptools", "jsonschema_rs", "orjson", "uvloop",
)  # fmt: skip
"""Modules of packages with compiled parts, which an update of Python can make unusable."""
REINSTALL = (
    "Install them for this Python: `uv sync --reinstall`; or, with pip, make the environment anew and run "
    "`pip install --require-hashes -r requirements.txt` in it."
)


def check_python() -> Finding:
    """Check whether the virtual environment was made for the Python that runs."""
    running = platform.python_version()
    made_for = _made_for(Path(sys.prefix))
    if made_for and made_for != running.rpartition(".")[0]:
        return problem(
            "Python",
            f"This is Python {running}, and the environment {sys.prefix} was made by Python {made_for}.",
            "Remove that folder and make it anew: `uv sync`; or `python3 -m venv` and `pip install`.",
        )
    return ok("Python", f"{running} ({sys.executable})")


def check_packages() -> Finding:
    required = list(required_names())
    missing = [name for name in required if _installed(name) is None]
    if missing:
        return problem("Packages", f"Not installed: {_listed(missing)}.", REINSTALL)
    if broken := dict(_broken()):
        sentence = f"Installed, but cannot be loaded by this Python: {_listed(broken)}."
        return problem("Packages", sentence, REINSTALL, tuple(broken.values()))
    newer, other = _other_versions(required)
    if other:
        return warning(
            "Packages",
            f"Another version than in requirements.txt, which was tested: {_listed(other)}.",
            "`uv sync --upgrade`, or `pip install --require-hashes -r requirements.txt`, updates them.",
        )
    if newer:
        return ok("Packages", f"{len(required)}; newer than in requirements.txt: {_listed(newer)}")
    return ok("Packages", f"{len(required)}, in the versions of requirements.txt")


def required_names() -> Iterable[str]:
    """Return the packages that the project requires, without those for other Pythons and systems."""
    project = tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8"))["project"]
    for requirement in project["dependencies"]:
        words, _, marker = requirement.partition(";")
        if not marker and (name := NAME.match(words)):
            yield name[0]


def _made_for(prefix: Path) -> str:
    """Return the version in pyvenv.cfg, such as "3.12"; "" outside of a virtual environment."""
    try:
        text = (prefix / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", text, re.MULTILINE)
    return found[1] if found else ""


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _broken() -> Iterable[tuple[str, str]]:
    """Yield the modules whose import fails, with the reason. Optional ones may be absent."""
    for module in COMPILED:
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            if not module.startswith(str(error.name)):
                yield module, f"{module}: {error}"
        except ImportError as error:
            yield module, f"{module}: {str(error).splitlines()[0]}"


def _other_versions(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the packages that are not in a version of requirements.txt: those in a newer one of the same
    major version, as `uv sync` installs them once they are published, and the others."""
    pinned: dict[str, set[str]] = {}
    file = PROJECT / "requirements.txt"
    for name, pin in PIN.findall(file.read_text(encoding="utf-8") if file.is_file() else ""):
        pinned.setdefault(name, set()).add(pin)
    newer: list[str] = []
    other: list[str] = []
    for name in names:
        here = _installed(name) or ""
        if name in pinned and here not in pinned[name]:
            is_newer = any(_is_newer(here, than) for than in pinned[name])
            (newer if is_newer else other).append(f"{name} {here}")
    return newer, other


def _is_newer(here: str, than: str) -> bool:
    """Return True for a newer version with the same major number."""
    numbers, tested = ([int(number) for number in re.findall(r"\d+", one)] for one in (here, than))
    return numbers[:1] == tested[:1] and numbers > tested


def _listed(names: Iterable[str]) -> str:
    first = list(names)
    more = f" and {len(first) - 8} more" if len(first) > 8 else ""
    return ", ".join(first[:8]) + more
