from __future__ import annotations

import re
import tomllib

from proxy_site.version import PROJECT_FILE, version


def test_the_version_stands_in_the_project_file() -> None:
    assert version() == tomllib.loads(PROJECT_FILE.read_text())["project"]["version"]


def test_the_version_is_a_release_or_on_the_way_to_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", version())
