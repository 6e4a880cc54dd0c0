from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.clients.terminal import Terminal

SHELL = {"PATH": os.environ["PATH"]}


def terminal(script: str, columns: int = 40) -> Terminal:
    return Terminal(["sh", "-c", script], Path.cwd(), SHELL, columns=columns, rows=5)


def test_it_shows_what_is_left_on_the_screen() -> None:
    with terminal(r"printf 'one\ntwo\033[2J\033[Hthree\n'; read _") as screen:
        screen.wait_for("three")

    assert screen.screen == "three"


def test_it_finds_words_over_the_end_of_a_line() -> None:
    with terminal("printf 'a sentence of\\n   two lines'; read _") as screen:
        screen.wait_for("a sentence of two lines")


def test_it_types() -> None:
    with terminal("read name; echo Hello $name; read _") as screen:
        screen.type("Ada")
        screen.press("enter")
        screen.wait_for("Hello Ada")


def test_it_presses_a_key_again_until_the_question_is_answered() -> None:
    with terminal("printf 'Sure?'; read _; read _; clear; echo Done; read _") as screen:
        screen.answer("Sure?", "enter", then="Done")


def test_it_says_what_was_on_the_screen_instead() -> None:
    with (
        terminal("echo something else; read _") as screen,
        pytest.raises(AssertionError, match="something else"),
    ):
        screen.wait_for("the right thing", seconds=0.5)
