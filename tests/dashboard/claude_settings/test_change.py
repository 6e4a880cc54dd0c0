from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.claude_settings.change import (
    HIDDEN,
    LONGEST_LINE,
    OUR_KEY,
    Refused,
    decides_too,
    difference,
    with_variables,
)
from dashboard.claude_settings.file import LARGEST_BYTES
from dashboard.connecting import VARIABLES

HERE = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:8672", "ANTHROPIC_AUTH_TOKEN": "a-secret-key"}
BY_HAND = """{
    "permissions": { "allow": ["Bash(npm run lint)", "Read(~/.zshrc)"], "deny": [] },
    "env": {
        "FOO":   "1",
        "ANTHROPIC_AUTH_TOKEN": "of another gateway",
        "ANTHROPIC_DEFAULT_OPUS_MODEL": "old"
    },
    "statusLine": {"type": "command", "command": "echo \\u00e9 \\"{}\\""}
}
"""
values = st.sampled_from(
    [None, True, -1.5, 10**30, "", 'é"\\', "\ud800", [], ["}", {"a": "{"}], {}, {"env": [1]}]
)
names = st.text(max_size=3) | st.sampled_from(VARIABLES)
variables = st.dictionaries(st.sampled_from(VARIABLES), st.text(max_size=9))


def test_all_other_text_stays_as_it_was() -> None:
    assert with_variables(BY_HAND, HERE) == BY_HAND.replace("of another gateway", "a-secret-key").replace(
        '        "ANTHROPIC_DEFAULT_OPUS_MODEL": "old"\n',
        '        "ANTHROPIC_BASE_URL": "http://127.0.0.1:8672"\n',
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "env": {\n    "ANTHROPIC_BASE_URL": "x"\n  }\n}\n'),
        ("{}", '{\n  "env": {\n    "ANTHROPIC_BASE_URL": "x"\n  }\n}'),
        ('{"model":"opus"}', '{"model":"opus","env":{"ANTHROPIC_BASE_URL": "x"}}'),
        (
            '{\r\n\t"model": "opus"\r\n}\r\n',
            '{\r\n\t"model": "opus",\r\n\t"env": {\r\n\t\t"ANTHROPIC_BASE_URL": "x"\r\n\t}\r\n}\r\n',
        ),
        ('\ufeff{"env": {}}', '\ufeff{"env": {"ANTHROPIC_BASE_URL": "x"}}'),
        (
            '{"env": {"A": "1"}, "env": {"B":"2"}}',
            '{"env": {"A": "1"}, "env": {"B":"2","ANTHROPIC_BASE_URL":"x"}}',
        ),
    ],
    ids=["empty file", "empty object", "one line", "tabs and CRLF", "byte order mark", "env twice"],
)  # fmt: skip
def test_what_is_new_looks_like_the_rest(before: str, after: str) -> None:
    assert with_variables(before, {"ANTHROPIC_BASE_URL": "x"}) == after


@given(
    settings_=st.dictionaries(names, values, max_size=4),
    env=st.dictionaries(names, values, max_size=4),
    wanted=variables,
    indent=st.sampled_from([None, 1, "\t"]),
)
@settings(max_examples=300)
def test_only_our_variables_change(
    settings_: dict[str, Any], env: dict[str, Any], wanted: dict[str, str], indent: Any
) -> None:
    before = {**settings_, "env": env}
    after = json.loads(with_variables(json.dumps(before, indent=indent), wanted))

    others = {name: value for name, value in env.items() if name not in VARIABLES}
    assert after.pop("env", {}) == others | wanted
    assert after == {name: value for name, value in settings_.items() if name != "env"}
    assert list(after) == [name for name in before if name != "env"]


@given(st.text(max_size=200))
@settings(max_examples=300)
def test_any_text_is_changed_or_refused(text: str) -> None:
    try:
        changed = with_variables(text, HERE)
    except Refused:
        return
    assert json.loads(changed.removeprefix("\ufeff"))["env"] == HERE


@pytest.mark.parametrize(
    "text",
    [
        "// mine\n{}", '{"a": 1,}', "{'a': 1}", '{"a": NaN}', "[]", "null", '"{}"', '{"env": null}',
        '{"env": ["A=1"]}', "[" * 100_000, '{"a":' * 2_000 + "1" + "}" * 2_000, '{"a": %s}' % ("9" * 10_000),
    ],
)  # fmt: skip
def test_what_is_no_settings_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="It is"):
        with_variables(text, HERE)


def test_without_variables_ours_are_taken_out() -> None:
    written = with_variables('{"model": "opus"}', HERE)
    assert with_variables(written, {}) == '{"model": "opus"}'
    assert with_variables('{"env": {"FOO": "1"}}', {}) == '{"env": {"FOO": "1"}}'


def test_the_difference_shows_lines_and_hides_keys() -> None:
    lines = difference(BY_HAND, with_variables(BY_HAND, HERE), "a-secret-key")

    text = "\n".join(f"{line.kind[0]}{line.text}" for line in lines)
    assert "another gateway" not in text
    assert "a-secret-key" not in text
    assert f'r    "ANTHROPIC_AUTH_TOKEN": "{HIDDEN}"\n' in text
    assert f'a    "ANTHROPIC_AUTH_TOKEN": "{OUR_KEY}"\n' in text
    assert 'r    "ANTHROPIC_DEFAULT_OPUS_MODEL": "old"' in text
    assert 's    "FOO": "1"' in text


def test_a_difference_of_long_and_many_lines_is_bounded() -> None:
    many = json.dumps({str(number): 0 for number in range(LARGEST_BYTES // 12)})
    other = json.dumps({str(number): "x" * 5 for number in range(LARGEST_BYTES // 20)})
    long = json.dumps({"long": "x" * (LARGEST_BYTES - 20)})
    lines = [*difference(many, other, ""), *difference("{}", long, "")]

    assert max(len(line.text) for line in lines) == LONGEST_LINE


def test_what_else_decides_is_named() -> None:
    text = '{"apiKeyHelper": "./key", "env": {"CLAUDE_CODE_USE_BEDROCK": "1", "FOO": "1"}}'
    assert decides_too(text) == ["CLAUDE_CODE_USE_BEDROCK", "apiKeyHelper"]
