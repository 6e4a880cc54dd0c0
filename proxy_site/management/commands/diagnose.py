from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from accounts.command_line import container_engine, manage, manage_in_pipe
from accounts.management.operator_command import OperatorCommand
from gateway.ledger.search import NothingLikeIt, whole_id
from proxy_site.data_dir import running_server
from proxy_site.operation.diagnosis import bundle
from proxy_site.operation.running_server import log_command, log_files, log_places, where_the_log_is

if TYPE_CHECKING:
    from collections.abc import Iterable


class Command(OperatorCommand):
    examples = ("req_01a2159937ef", "req_01a2159937ef --output bundle.json", "req_01a2159937ef --log -")
    help = (
        "Writes one request as a JSON file that can be attached to an issue: its row and attempts in the "
        "ledger, the explanation, its lines in the log, settings that differ from defaults, versions. "
        "Without secrets, prompts and addresses; accounts are numbered. Look through it before you pass it "
        "on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("request_id", metavar="REQUEST-ID", help="a beginning of the id is enough")
        parser.add_argument("--log", default="", metavar="FILE", help="the log; -: standard input")
        parser.add_argument("--output", default="", metavar="FILE", help="a new file; default: print it")

    def act(self, *, request_id: str, log: str, output: str, **options: Any) -> None:
        try:
            found = whole_id(request_id)
        except NothingLikeIt as error:
            raise CommandError(str(error)) from error
        with ExitStack() as stack:
            try:
                made = bundle(found, self._logs(log, stack))
            except OSError as error:
                raise CommandError(f"{log or 'The log'} cannot be read: {error.strerror}.") from error
        text = orjson.dumps(made, option=orjson.OPT_INDENT_2).decode()
        if not output:
            self.report([made], text)
            return
        _write_new(Path(output), text)
        self.report([{"file": output}])
        self.info(f"Written to {output}. Look through it before you pass it on.")

    def _logs(self, log: str, stack: ExitStack) -> list[Iterable[str]]:
        if log == "-":
            return [_standard_input()]
        paths = [Path(log)] if log else self._logs_of_server()
        return [stack.enter_context(path.open(encoding="utf-8", errors="replace")) for path in paths]

    def _logs_of_server(self) -> list[Path]:
        """Return the files that the running server writes its log to, after a hint when they do not have all
        of it."""
        server, engine = running_server(settings.DATA_DIR), container_engine()
        process_id = server.process_id if server is not None else 0
        paths = log_files(process_id)
        if not paths:
            source = log_command(process_id, engine=engine)
            again = (manage_in_pipe if source else manage)("diagnose REQUEST-ID --log -")
            self.info(f"Without lines of the log, which is no file. To have them: {source or '…'} | {again}")
        elif len(paths) < len(log_places(process_id, engine=engine)):
            where = where_the_log_is(process_id, engine=engine)
            self.info(f"With lines of {paths[0]} alone, which is not the whole log: that goes to {where}.")
        return paths


def _standard_input() -> Iterable[str]:
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    return sys.stdin


def _write_new(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise CommandError(f"{path} exists already: name a new file.") from error
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{text}\n")
