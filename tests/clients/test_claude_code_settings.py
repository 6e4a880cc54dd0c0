"""The real Claude Code with nothing but the settings file that the page Connect writes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.clients.claude_code import ClaudeCode
from tests.clients.conversations import accepted_calls
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from pathlib import Path

    from proxy_site.emulator.server import EmulatorServer
    from tests.clients.node_packages import NodePackages

pytestmark = pytest.mark.needs("node")

PASSWORD = "a long and good one"
PAGE = "/connect/claude-settings"


def submit(browser: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """The form of that page, with its hidden fields."""
    page = browser.get(path)
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text)
    headers = {"referer": str(page.url)}
    return browser.post(page.url.path, data={**dict(hidden), **fields}, headers=headers)


def test_the_settings_file_alone_leads_it_here(
    google: EmulatorServer, node_packages: NodePackages, tmp_path: Path
) -> None:
    claude = ClaudeCode(node_packages.claude, tmp_path)
    settings = {"AUTH_TOKEN": "a-secret-key", "CLAUDE_CONFIG_DIR": str(tmp_path / "claude")}
    (tmp_path / "data").mkdir()
    with (
        LiveGateway(google, tmp_path / "data", WEBUI_PASSWORD=PASSWORD, **settings) as gateway,
        httpx.Client(base_url=gateway.url, follow_redirects=True) as browser,
    ):
        submit(browser, "/admin/login/", username="admin", password=PASSWORD)
        written = submit(browser, f"{PAGE}?models=gemini")
        google.state.reply("Forty-two, and not a word more.")
        answered = claude.ask("What is the answer?", "--model", "sonnet")
        taken_out = submit(browser, f"{PAGE}?act=remove")
        alone = claude.ask("What is the answer?")

    assert "Wrote this gateway into" in written.text
    assert (answered.status, answered.output) == (0, "Forty-two, and not a word more.\n")
    assert "gemini" in accepted_calls(google)[-1].envelope["model"]
    assert "Took this gateway out" in taken_out.text
    assert "Not logged in" in alone.output + alone.complaints
    assert "a-secret-key" not in gateway.output
