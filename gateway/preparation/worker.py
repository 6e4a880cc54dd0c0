"""A worker process: parses large requests and runs jobs on them, outside the gateway's event loop.

It imports neither Django nor network code, has no connection but the one to the gateway, and ends when that
is closed, however the gateway ended.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gateway.preparation.jobs  # noqa: F401  # ahead of the first job
from gateway.bodies.request_json import parse_json
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.dialects.base import RequestParser

    Job = tuple[Callable[..., Any], RequestParser | None, tuple[Any, ...], dict[str, Any]]
    """A function, the parser of the request that is its first argument (None when that is the body itself),
    and its other arguments."""

NICE = 5
"""The niceness that is added, so that the gateway's own process has priority."""


def main() -> None:
    # Ctrl-C and systemd signal all processes; the gateway alone acts on it and lets requests finish.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICE)
    gc.disable()  # a job creates few cycles; they are collected between jobs
    gc.freeze()
    with Connection(int(sys.argv[1])) as connection, suppress(EOFError, OSError):
        while True:
            send(connection, _outcome(connection, connection.recv()))
            gc.collect()


def _outcome(connection: Connection, job: Job) -> Any:
    """Run the job and return its result, or the exception it raised.

    The body is not bound to a name, so that its memory is freed once it is parsed. An exception's text is
    left out when it may quote the body.
    """
    function, parser, args, kwargs = job
    try:
        if parser is None:
            return function(connection.recv_bytes(), *args, **kwargs)
        return function(parser.parse(parse_json(connection.recv_bytes())), *args, **kwargs)
    except GatewayError as error:
        return error.with_traceback(None)
    except (EOFError, OSError):
        raise
    except Exception as error:
        return RuntimeError(f"{type(error).__name__} in a worker process, {_place_of(error)}")


def _place_of(error: Exception) -> str:
    """Return the line of our code that failed, for example ``history.py:52``."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"


def send(connection: Connection, value: Any) -> None:
    """Send a pickled value, followed by its buffers, which are not copied."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    connection.send((pickled, len(buffers)))
    for buffer in buffers:
        connection.send_bytes(buffer.raw())


def receive(connection: Connection) -> Any:
    """Receive a value from `send`; its buffers are bytes."""
    pickled, count = connection.recv()
    buffers = [connection.recv_bytes() for _ in range(count)]
    return pickle.loads(pickled, buffers=buffers)  # noqa: S301  # from our own process


if __name__ == "__main__":
    main()
