"""The image's health check: exit status 0 when the gateway answers.

It does not use urllib, which would send the request through HTTP_PROXY. A refusal counts as an answer, since
the operator may have left 127.0.0.1 out of ALLOWED_HOSTS.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

SECONDS = 4.0


def problem(port: int) -> str:
    """Return what is wrong with the gateway at this port of the container; "" when it works."""
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"no answer: {error}"
    finally:
        connection.close()
    return f"status {status}" if status >= 500 else ""


if __name__ == "__main__":
    sys.exit(problem(int(os.environ["PORT"])) or 0)
