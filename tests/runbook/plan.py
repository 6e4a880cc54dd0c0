"""What the walk through the runbook needs to know of single blocks; the keys are their whole texts.

A block of docs/runbook.md that is neither run nor in NOT_RUN fails the test, and so does an entry here whose
block is no longer there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy_site.emulator.state import EmulatorState

PORT_OF_THE_PAGE = "8672"
CLIENT_ID = "123456789012-abc.apps.googleusercontent.com"
FIRST_SECRET, SECOND_SECRET = "the-first-secret", "the-new-secret"
CLIENT_KEY = "a-long-random-text"
MANAGE = ".uv/bin/uv run manage.py"

NO_ENGINE = "needs Docker; the tests of the image run its steps without an engine"
DOWNLOADS = "downloads packages, and tests talk to loopback only; .ci/run begins with these commands"
NO_BROWSER = "needs a browser"

NOT_RUN: dict[str, str] = {
    "python3 -m venv .uv && .uv/bin/pip install -q uv && .uv/bin/uv sync": DOWNLOADS,
    "wsl --install": "needs Windows",
    f"{MANAGE} installservice": "needs systemd and a user who is not root; its own tests run it",
    """\
export ANTHROPIC_BASE_URL=http://127.0.0.1:8672
export ANTHROPIC_AUTH_TOKEN=anything
claude""": "opens Claude Code, which tests/clients runs",
    """\
docker build -t antigravity-proxy .
docker run -p 8672:8672 -v ~/.config/antigravity-proxy:/root/.config/antigravity-proxy antigravity-proxy\
""": NO_ENGINE,
    "docker compose up -d\ndocker compose logs -f": NO_ENGINE,
    "docker compose exec gateway manage.py showkey": NO_ENGINE,
    """\
docker compose exec gateway manage.py addaccount
docker compose exec gateway manage.py setuplink""": NO_ENGINE,
    """\
docker compose exec gateway manage.py backup /root/.config/antigravity-proxy/gateway.backup --keys
docker compose stop
docker compose run --rm gateway restore /root/.config/antigravity-proxy/gateway.backup --keys
docker compose up -d""": NO_ENGINE,
    """\
docker tag antigravity-proxy antigravity-proxy:before
git pull && docker compose build && docker compose up -d""": NO_ENGINE,
    "docker tag antigravity-proxy:before antigravity-proxy\ndocker compose up -d --no-build": NO_ENGINE,
    "xdg-open http://127.0.0.1:8672 || open http://127.0.0.1:8672": NO_BROWSER,
    f"{MANAGE} addaccount": "asks at a terminal; tests/accounts/test_commands.py answers",
    f"{MANAGE} addaccount --kind google": f"{NO_BROWSER}; the same without one is run",
    """\
rm -rf .uv .venv
python3 -m venv .uv && .uv/bin/pip install -q uv && .uv/bin/uv sync""": DOWNLOADS,
    f"{MANAGE} downgrade 0.1.0": "needs the code of 0.1; tests/proxy_site/test_back_to_0_1.py runs it",
}
"""Blocks that cannot be run here, and why."""

UNTIL_CTRL_C: dict[str, str] = {
    f"{MANAGE} runserver": "Stop with Ctrl-C",
    f"{MANAGE} runserver --fallback": "Stop with Ctrl-C",
    f"{MANAGE} runserver --debug": "Stop with Ctrl-C",
    "tail -f gateway.log | grep --line-buffered -v Heartbeat": "Stop with Ctrl-C",
}
"""Commands that end with Ctrl-C, and the text after which the operator presses it."""

VERIFY_LINUS = f"{MANAGE} verifyaccounts linus@example.com"
ENDS_WITH = {f"{MANAGE} doctor": 3, VERIFY_LINUS: 1}
"""Exit statuses other than 0. doctor warns of the limits that the section before has brought about."""

SIGN_IN = {
    f"{MANAGE} addaccount --no-browser --accept-terms",
    f"{MANAGE} addaccount --email linus@example.com --no-browser --accept-terms",
}
"""Commands that wait for the address at which the browser ends."""


ASK_CLAUDE = """\
curl -sS http://127.0.0.1:8672/v1/messages -H 'content-type: application/json' \\
  -H "x-api-key: ${ANTHROPIC_AUTH_TOKEN:-anything}" \\
  -d '{"model": "claude-sonnet-4-6", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}'"""
"""It asks for a model whose quota is used up."""


def add_a_secret(google: EmulatorState) -> None:
    google.client_secret = SECOND_SECRET


def revoke_linus(google: EmulatorState) -> None:
    google.revoke("linus@example.com")


def use_up_claude(google: EmulatorState) -> None:
    for account in google.accounts:
        google.set_quota(account.email, "claude", remaining=0, reset_in=7200)


BEFORE: dict[str, Callable[[EmulatorState], None]] = {
    f"OAUTH_CLIENT_SECRET={SECOND_SECRET}": add_a_secret,
    ASK_CLAUDE: use_up_claude,
    VERIFY_LINUS: revoke_linus,
}
"""What happens at Google before the block."""
