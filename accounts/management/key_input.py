"""Reads an API key and what belongs to it, from a command's options, the environment or questions."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from accounts.adding.keys import GivenKey
from accounts.kinds.keyed import KeyUnusable
from accounts.kinds.registry import KEYED, KINDS
from accounts.values.switches import AUTH_STYLES

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

    from accounts.management.operator_command import OperatorCommand

VARIABLES = {"gemini": "GEMINI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
MOST_BYTES = 64 * 1024
UNPAID = (
    "Without billing the key is of the unpaid tier: Google uses what is sent with it, and people may read "
    "it. Whoever serves users in the EEA, Switzerland or the UK must use the paid tier. "
    "Terms: https://ai.google.dev/gemini-api/terms"
)


def add_key_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--kind", choices=list(KINDS), help="the kind of account; at a terminal the command asks for it"
    )
    parser.add_argument(
        "--key-file", metavar="FILE", help="a file with the key, - for standard input; default: "
        "GEMINI_API_KEY or ANTHROPIC_API_KEY in the environment; else the command asks for it",
    )  # fmt: skip
    parser.add_argument("--url", default="", help="compatible: the base URL, as in ANTHROPIC_BASE_URL")
    parser.add_argument(
        "--auth",
        choices=AUTH_STYLES,
        default="",
        help="compatible: the header with the key, bearer for Authorization; default: bearer",
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="compatible: a model that the server offers; repeatable",
    )
    parser.add_argument(
        "--quota-group",
        default="",
        metavar="NAME",
        help="one name for all keys of a project or organisation, which share their limits",
    )
    tier = parser.add_mutually_exclusive_group()
    tier.add_argument(
        "--paid", dest="tier", action="store_const", const="paid", help="gemini: the project has billing"
    )
    tier.add_argument("--unpaid", dest="tier", action="store_const", const="free", help="gemini: it has none")
    parser.add_argument("--label", default="", metavar="NAME", help="the name that pages show")
    parser.add_argument("--replace", metavar="ACCOUNT", help="give an account that exists the new key")
    parser.add_argument("--unchecked", action="store_true", help="add the key without asking its provider")


def choose_kind(command: OperatorCommand) -> str:
    """Ask for the kind with a short menu, permitted kinds first. Raises CommandError at the end of input."""
    for number, kind in enumerate(KINDS.values(), 1):
        command.info(f"  {number}  {kind.title}. {kind.terms}")
    while True:
        command.info(f"Which kind of account? (1 to {len(KINDS)}) ", ending="")
        line = sys.stdin.readline()
        if not line:
            raise CommandError("Nothing was added. In a script, say --kind.")
        answer = line.strip().lower()
        if answer in KINDS:
            return answer
        if answer in map(str, range(1, len(KINDS) + 1)):
            return list(KINDS)[int(answer) - 1]


def given_key(command: OperatorCommand, kind: str, options: dict[str, Any]) -> GivenKey:
    """Return the key with its facts, from options or answers to questions. Raises CommandError."""
    url = options["url"]
    if kind == "compatible" and not url and not options["replace"]:
        url = _ask(command, "Address of the server, as in ANTHROPIC_BASE_URL: ", "--url")
    key = _key(command, kind, options["key_file"])
    try:
        KEYED[kind].read_key(key)  # before anything is asked about it
    except KeyUnusable as error:
        raise CommandError(f"Not added: {error}") from None
    return GivenKey(
        kind,
        key,
        base_url=url,
        auth=options["auth"],
        models=tuple(options["model"]),
        quota_group=options["quota_group"],
        tier=_tier(command, kind, options["tier"]),
        label=options["label"],
    )


def _key(command: OperatorCommand, kind: str, file: str | None) -> str:
    if file is not None:
        return _read(file)
    variable = VARIABLES.get(kind, "")
    if key := os.environ.get(variable, ""):
        command.info(f"The key is taken from {variable}.")
        return key
    if command.is_interactive:
        empty = " (empty: it wants none)" if kind == "compatible" else ""
        return getpass.getpass(f"{KEYED[kind].noun}{empty}: ", sys.stderr)
    if kind == "compatible":
        return ""
    raise CommandError(f"There is no key. Set {variable}, or say --key-file FILE (- is standard input).")


def _read(file: str) -> str:
    try:
        content = sys.stdin.buffer.read(MOST_BYTES) if file == "-" else _content(Path(file))
        return content.decode()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} holds no key.") from error


def _content(path: Path) -> bytes:
    with path.open("rb") as opened:
        return opened.read(MOST_BYTES)


def _tier(command: OperatorCommand, kind: str, chosen: str | None) -> str:
    if kind != "gemini":
        return chosen or "unknown"
    tier = chosen or "unknown"
    if chosen is None and command.is_interactive:
        tier = "paid" if command.confirm("Does the key's project have billing (the paid tier)?") else "free"
    if tier != "paid":
        command.info(UNPAID)
    return tier


def _ask(command: OperatorCommand, question: str, option: str) -> str:
    if not command.is_interactive:
        raise CommandError(f"{option} is missing.")
    command.info(question, ending="")
    return sys.stdin.readline().strip()
