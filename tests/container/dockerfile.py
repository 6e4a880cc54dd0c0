"""The Dockerfile read as an engine reads it (docs.docker.com, Dockerfile reference), as far as this project's
uses the format. Anything else is an error, so that nothing is passed over."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
BASE_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}
"""What `python:3.x-slim` sets that matters here."""


@dataclass(frozen=True, slots=True)
class Instruction:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Copy:
    sources: list[str]
    target: str
    stage: str
    """Empty: from the context."""


@dataclass(slots=True)
class Stage:
    """What one FROM begins. `steps` change its files: a command line, a Copy, or a folder made by WORKDIR."""

    base: str
    name: str
    environment: dict[str, str] = field(default_factory=lambda: dict(BASE_ENVIRONMENT))
    arguments: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    steps: list[tuple[str, str | Copy, dict[str, str]]] = field(default_factory=list)
    """The folder in which a step runs, the step, and its environment."""
    volumes: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n", " ", "\n".join(lines))
    found = [line.strip().partition(" ") for line in whole.splitlines() if line.strip()]
    return [Instruction(name, re.sub(r"\s+", " ", value).strip()) for name, _, value in found]


def stages(text: str) -> list[Stage]:
    found: list[Stage] = []
    arguments: dict[str, str] = {}
    for one in instructions(text):
        if one.name == "FROM":
            base, _, name = one.value.partition(" AS ")
            found.append(Stage(base=_substituted(base, arguments), name=name))
        elif not found:
            assert one.name == "ARG", one
            arguments |= _pairs(one.value, arguments)
        else:
            _apply(one, found[-1])
    return found


def _apply(one: Instruction, stage: Stage) -> None:
    known = {**stage.arguments, **stage.environment}
    match one.name:
        case "ARG":
            stage.arguments |= _pairs(one.value, known)
        case "ENV":
            stage.environment |= _pairs(one.value, known)
        case "LABEL":
            stage.labels |= _pairs(one.value, known)
        case "WORKDIR":
            stage.folder = one.value
            stage.steps.append((one.value, "", dict(known)))
        case "RUN":
            stage.steps.append((stage.folder, one.value, dict(known)))
        case "COPY":
            stage.steps.append((stage.folder, _copy(one.value), dict(known)))
        case _:
            _configure(one, stage)


def _configure(one: Instruction, stage: Stage) -> None:
    match one.name:
        case "VOLUME":
            stage.volumes.append(one.value)
        case "EXPOSE":
            stage.ports.append(one.value)
        case "HEALTHCHECK":
            stage.health = _words(one.value.partition("CMD ")[2])
        case "ENTRYPOINT":
            stage.entrypoint = _words(one.value)
        case "CMD":
            stage.command = _words(one.value)
        case _:
            raise AssertionError(f"{one.name} is not known here")


def _copy(value: str) -> Copy:
    words = shlex.split(value)
    stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else ""
    return Copy(words[:-1], words[-1], stage)


def _pairs(value: str, known: dict[str, str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in shlex.split(value)]
    return {name: _substituted(text, known) for name, _, text in pairs}


def _substituted(text: str, known: dict[str, str]) -> str:
    return VARIABLE.sub(lambda found: known[found[1] or found[2]], text)


def _words(value: str) -> list[str]:
    """Of the exec form; the shell form would put a shell between the engine and the program."""
    words: list[str] = json.loads(value)
    return words


def context(folder: Path) -> list[Path]:
    """The files that an engine gets to see of the folder: those at its top that .dockerignore names again
    after its `*`, without the names it excludes at any depth."""
    lines = (folder / ".dockerignore").read_text().splitlines()
    first, *rules = [line for line in lines if line and not line.startswith("#")]
    assert first == "*"
    kept = [rule[1:] for rule in rules if rule.startswith("!")]
    excluded = [rule.removeprefix("**/") for rule in rules if rule.startswith("**/")]
    assert len(kept) + len(excluded) == len(rules), rules
    files = [path for name in kept for path in _files_of(folder / name)]
    return [
        path
        for path in files
        if not any(fnmatch(part, rule) for part in path.relative_to(folder).parts for rule in excluded)
    ]


def _files_of(path: Path) -> list[Path]:
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
