"""What the server gives back to the system when no request runs."""

from __future__ import annotations

import platform
import subprocess
import sys
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.live_gateway import PROJECT, clean_environment

if TYPE_CHECKING:
    from pathlib import Path

PRINT_MEMORY = """
from pathlib import Path
from proxy_site.serving.lifecycle import give_back_free_memory

def memory_kb():
    fields = dict(line.split(":", 1) for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return int(fields["Anonymous"].split()[0])

pieces = [bytearray(10_000) for _ in range(5_000)]
pieces = pieces[::100]
before = memory_kb()
give_back_free_memory()
print([before, memory_kb()])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is asked to")
def test_free_memory_between_pieces_in_use_goes_back(tmp_path: Path) -> None:
    """In a process of its own: the server makes the event loop while it is imported."""
    command = [sys.executable, "-c", PRINT_MEMORY]
    env = {**clean_environment(tmp_path), "DJANGO_SETTINGS_MODULE": "proxy_site.settings"}

    printed = subprocess.run(command, cwd=PROJECT, env=env, check=True, capture_output=True, timeout=60)

    before, after = orjson.loads(printed.stdout)
    assert before - after > 40_000
