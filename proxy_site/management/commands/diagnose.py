from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from accounts.command_line import manage
from accounts.management.operator_command import OperatorCommand
from gateway.ledger.search import NothingLikeIt, whole_id
from proxy_site.data_dir import running_server
from proxy_site.operation.diagnosis import bundle
from proxy_site.operation.running_server import log_file, where_the_log_is

if TYPE_CHECKING:
    from collections.abc import Iterable


class Command(OperatorCommand):
    examples = ("req_01a2159937ef", "req_01a2159937ef --output bundle.json", "req_01a2159937ef --log -")
    help = (
        "One request as a JSON file that can be attached to an issue: its row and attempts in the ledger, "
        "the explanation, its lines in the log, settings that differ from defaults, versions. Without "
        "secrets, prompts and addresses; accounts are numbered. Look through it before you pass it on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("request_id", metavar="REQUEST-ID", help="or its beginning")
        parser.add_argument("--log", default="", metavar="FILE", help="the log; -: standard input")
        parser.add_argument("--output", default="", metavar="FILE", help="a new file; default: print it")

    def act(self, *, request_id: str, log: str, output: str, **options: Any) -> None:
        try:
            found = whole_id(request_id)
        except NothingLikeIt as error:
            raise CommandError(str(error)) from error
        with ExitStack() as stack:
            try:
                made = bundle(found, [self._lines(log, stack)])
            except OSError as error:
                raise CommandError(f"{log or 'The log'} cannot be read: {error.strerror}.") from error
        text = orjson.dumps(made, option=orjson.OPT_INDENT_2).decode()
        if not output:
            self.report([made], text)
            return
        _write_new(Path(output), text)
        self.report([{"file": output}])
        self.info(f"Written to {output}. Look through it before you pass it on.")

    def _lines(self, log: str, stack: ExitStack) -> Iterable[str]:
        if log == "-":
            return sys.stdin
        path = Path(log) if log else self._log_of_server()
        return stack.enter_context(path.open(encoding="utf-8", errors="replace")) if path else ()

    def _log_of_server(self) -> Path | None:
        """The file that the running server writes its log to; None, with a hint, when there is none."""
        server = running_server(settings.DATA_DIR)
        process_id = server.process_id if server is not None else 0
        if (path := log_file(process_id)) is not None:
            return path
        where = where_the_log_is(process_id)
        source = where.removesuffix(" -f") if where.startswith("journalctl") else "…"
        again = manage("diagnose REQUEST-ID --log -")
        self.info(f"Without lines of the log, which is no file. To have them: {source} | {again}")
        return None


def _write_new(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise CommandError(f"{path} exists already: name a new file.") from error
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{text}\n")
