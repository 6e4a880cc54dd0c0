"""The disk under DATA_DIR, and which process listens on a port."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from proxy_site.doctor.findings import Finding, ok, problem, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024 * 1024
LITTLE_BYTES = 200 * MIB
TRIED_BYTES = 256 * 1024
LISTENING = "0A"
"""The state of a listening socket in /proc/net/tcp (Linux, include/net/tcp_states.h)."""
FREE_SPACE = "Free space there, or move DATA_DIR to another disk. The ledger shrinks by `prunelogs`."


def check_disk(data_dir: Path) -> Finding:
    """Write a file of TRIED_BYTES and remove it: quotas and read-only mounts show in nothing else."""
    try:
        free = shutil.disk_usage(data_dir).free
        with tempfile.TemporaryFile(dir=data_dir) as file:
            file.write(b"\0" * TRIED_BYTES)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        sentence = f"{data_dir} cannot be written: {error.strerror}."
        return problem("Disk", sentence, f"{FREE_SPACE} Does the folder belong to this user?")
    if (owner := data_dir.stat().st_uid) != os.geteuid():
        return warning(
            "Disk",
            f"{data_dir} belongs to {_user(owner)}, and doctor runs as {_user(os.geteuid())}.",
            f"Run commands as the server's user, so that files have one owner: sudo -u {_user(owner)} …",
        )
    sentence = f"{free / MIB:,.0f} MiB are free in {data_dir}"
    if free < LITTLE_BYTES:
        return warning("Disk", f"Only {sentence}.", FREE_SPACE)
    return ok("Disk", sentence)


def _user(number: int) -> str:
    """Return the user's name, else `#1000`, which sudo accepts, too."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"#{number}"


def holder(port: int) -> tuple[int, str] | None:
    """Return the id and the name of the process that listens on the port; None when the system does not tell,
    because it is another user's process or because there is neither /proc nor lsof."""
    return _from_proc(port) if sys.platform == "linux" else _from_lsof(port)


def _from_proc(port: int) -> tuple[int, str] | None:
    wanted = {socket for one, socket in _listening_sockets() if one == port}
    for process, target in _descriptors() if wanted else ():
        if target in wanted:
            with suppress(OSError):
                return int(process.name), (process / "comm").read_text().strip()
    return None


def _descriptors() -> Iterator[tuple[Path, str]]:
    """Yield the folder in /proc and the target of each descriptor of the processes that this user may see."""
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            yield descriptor.parent.parent, str(descriptor.readlink())


def _listening_sockets() -> Iterator[tuple[int, str]]:
    """Yield the port and the name, in the form of descriptors, of each listening socket (proc_pid_fd(5),
    proc_pid_net(5))."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING:
                    yield int(fields[1].rpartition(":")[2], 16), f"socket:[{fields[9]}]"


def _from_lsof(port: int) -> tuple[int, str] | None:
    """Return the process according to lsof, which macOS has. With -F it prints one field a line, `p` the
    process and `c` its command (lsof(8))."""
    program = shutil.which("lsof")
    if program is None:
        return None
    command = [program, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, text=True, timeout=3, check=False)  # noqa: S603
        fields = {line[:1]: line[1:] for line in done.stdout.splitlines()}
        if "p" in fields:
            return int(fields["p"]), fields.get("c", "")
    return None
