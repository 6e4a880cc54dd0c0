"""`python -m tests.runbook`: runs the blocks of docs/runbook.md, and prints a table of them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from proxy_site.emulator.server import EmulatorServer
from proxy_site.emulator.state import EmulatorState
from tests.runbook.page import PAGE, blocks
from tests.runbook.plan import CLIENT_ID, FIRST_SECRET
from tests.runbook.walk import Walk, as_row


def main() -> int:
    failed = 0
    state = EmulatorState(client_id=CLIENT_ID, client_secret=FIRST_SECRET)
    with (
        tempfile.TemporaryDirectory() as folder,
        EmulatorServer(state) as google,
        Walk(Path(folder), google) as walk,
    ):
        for outcome in walk.run(blocks(PAGE.read_text())):
            failed += bool(outcome.problem)
            said = f"{outcome.problem}\n{outcome.output}\n" if outcome.problem else ""
            sys.stdout.write(f"{as_row(outcome)}\n{said}")
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
