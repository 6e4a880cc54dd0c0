from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy_site.doctor.configuration import check
from proxy_site.doctor.findings import State
from proxy_site.environment import Environment

if TYPE_CHECKING:
    from pathlib import Path


def test_each_value_is_shown_with_its_source(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("HOST=0.0.0.0\n")
    env = Environment([file], values={"PORT": "9000", "AUTH_TOKEN": "very-secret"})
    for name in ("HOST", "PORT", "AUTH_TOKEN", "LOG_LEVEL"):
        env.text(name)

    [found] = check(env)

    assert found.sentence.startswith("3 of 4 settings are set")
    assert found.details == (
        "AUTH_TOKEN = (set)  (the environment)",
        f"HOST = 0.0.0.0  ({file})",
        "PORT = 9000  (the environment)",
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://operator:secret@proxy.example:3128", "http://proxy.example:3128"),
        ("postgres://gateway:secret@db.example/gateway?sslkey=secret", "postgres://db.example/gateway"),
        ("postgres://gateway:secret/secret@db.example/gateway", "(set)"),
        ("postgres://gateway:secret#secret@db.example/gateway", "(set)"),
        ("postgres://gateway:sec@secret@db.example/gateway", "postgres://db.example/gateway"),
        ("http://[secret", "(set)"),
        ("secret", "(set)"),
    ],
)
def test_addresses_are_shown_without_passwords(value: str, shown: str) -> None:
    env = Environment(values={"DATABASE_URL": value})
    env.text("DATABASE_URL")

    [found] = check(env)

    assert found.details == (f"DATABASE_URL = {shown}  (the environment)",)


def test_a_mistyped_name_in_a_file_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("AUTH_TOKN=very-secret\nCOMPOSE_PROJECT_NAME=gateway\n")
    env = Environment([file], values={})
    env.text("AUTH_TOKEN")

    _, found = check(env)

    assert found.state is State.WARNING
    assert found.sentence == f"AUTH_TOKN in {file} is no setting. Is AUTH_TOKEN meant?"
    assert "very-secret" not in str(found)
