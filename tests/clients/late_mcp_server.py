"""An MCP server on stdin and stdout that answers only once a file exists: `late_mcp_server.py GO LISTED`.

It creates the file LISTED when its tools have been asked for. Lines of JSON-RPC, as the MCP specification's
stdio transport has them; nothing but the standard library, so that it starts at once.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

TIDE_TABLE = {
    "name": "tide_table",
    "description": "When high water is",
    "inputSchema": {
        "type": "object",
        "properties": {"harbour": {"type": "string"}},
        "required": ["harbour"],
    },
}


def answer(request: dict[str, Any], go: Path, listed: Path) -> dict[str, Any]:
    match request["method"]:
        case "initialize":
            while not go.exists():
                time.sleep(0.05)
            return {
                "protocolVersion": request["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "late", "version": "1"},
            }
        case "tools/list":
            listed.touch()
            return {"tools": [TIDE_TABLE]}
        case "tools/call":
            harbour = request["params"]["arguments"]["harbour"]
            return {"content": [{"type": "text", "text": f"High water at {harbour}: 14:20"}]}
        case _:
            return {}


def main() -> None:
    go, listed = map(Path, sys.argv[1:])
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            result = answer(request, go, listed)
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
