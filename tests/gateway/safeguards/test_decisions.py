from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.safeguards.decisions import EXPLANATION_CHARACTERS, tool_uses_from, unavailable
from gateway.safeguards.prompt import Call

CALLS = [Call("call_1", "toolu_a", "Bash", {}), Call("call_2", "toolu_b", "Read", {})]
RULES = {"auto_mode.soft_deny.0": "Never delete anything: we need it all"}
HARMLESS = {"type": "evaluated", "outcome": "not_flagged"}
UNCLEAR = {"type": "unavailable", "reason": "error"}


def a_decision(call: str = "call_1", outcome: Any = "not_flagged", **changes: Any) -> dict[str, Any]:
    return {"call": call, "explanation": "It lists files.", "cited_rule": "", "outcome": outcome, **changes}


def an_answer(*decisions: Any) -> str:
    return json.dumps({"decisions": list(decisions)})


def results(answer: str) -> list[Any]:
    """Of both calls, in their order."""
    given = tool_uses_from(answer, CALLS, RULES)
    assert list(given) == ["toolu_a", "toolu_b"]
    return list(given.values())


def test_each_call_gets_its_decision_whatever_their_order() -> None:
    dangerous = a_decision("call_1", "flagged", explanation="It deletes.", cited_rule="policy.destruction")

    assert results(an_answer(a_decision("call_2"), dangerous)) == [
        {
            "type": "evaluated",
            "outcome": "flagged",
            "explanation": "[Destruction] It deletes",
            "cited_rule": {"type": "policy", "path": "policy.destruction"},
        },
        HARMLESS,
    ]


@pytest.mark.parametrize("fence", ["```\n{}\n```", "```json\n{}\n```", "  \n{}\n ", "\n```json \n{}```\n"])
def test_a_code_fence_and_space_around_are_ignored(fence: str) -> None:
    answer = fence.replace("{}", an_answer(a_decision(), a_decision("call_2")))

    assert results(answer) == [HARMLESS, HARMLESS]


GOOD = an_answer(a_decision(), a_decision("call_2"))


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Both calls are harmless: not_flagged.",
        f"Here you are: {GOOD}",
        f"{GOOD} I hope this helps.",
        f"{GOOD}\n{GOOD}",
        GOOD[:-1],
        GOOD[: len(GOOD) // 2],
        f"```json\n{GOOD}\n```\nand more",
        f"```json\n```json\n{GOOD}\n```\n```",
        json.dumps([a_decision(), a_decision("call_2")]),
        json.dumps({"decisions": a_decision()}),
        json.dumps({"decisions": {"call_1": "not_flagged"}}),
        json.dumps({"decision": [a_decision()]}),
        json.dumps(GOOD),
        "null",
        "[" * 100_000,
        '{"decisions": [], ' + GOOD[1:],
        GOOD[:-1] + ', "more": NaN}',
        an_answer(a_decision(), a_decision("call_2"), a_decision("call_3")),
        an_answer(a_decision(), a_decision("call_2"), a_decision("toolu_a")),
        an_answer(a_decision(), a_decision("call_2"), "call_1"),
        an_answer(a_decision(), a_decision("call_2"), {"outcome": "not_flagged"}),
        an_answer(a_decision(), a_decision("call_2"), a_decision(call=None)),  # type: ignore[arg-type]
        GOOD.replace('"outcome": "not_flagged"', '"outcome": "flagged", "outcome": "not_flagged"', 1),
    ],
)
def test_a_malformed_answer_decides_no_call(answer: str) -> None:
    assert results(answer) == [UNCLEAR, UNCLEAR]


@pytest.mark.parametrize(
    "decisions",
    [
        [],
        [a_decision(), a_decision()],
        [a_decision(), a_decision(outcome="flagged")],
        [a_decision(outcome="NOT_FLAGGED")],
        [a_decision(outcome="not flagged")],
        [a_decision(outcome=None)],
        [a_decision(outcome=False)],
        [a_decision(outcome=["not_flagged"])],
        [{"call": "call_1"}],
    ],
)
def test_a_call_without_exactly_one_clear_decision_is_not_judged(decisions: list[Any]) -> None:
    assert results(an_answer(*decisions, a_decision("call_2"))) == [UNCLEAR, HARMLESS]


def test_calls_that_share_an_id_are_not_judged() -> None:
    calls = [Call("call_1", "toolu_a", "Bash", {}), Call("call_2", "toolu_a", "Bash", {})]

    assert tool_uses_from(GOOD, calls, RULES) == {"toolu_a": UNCLEAR}


@pytest.mark.parametrize(
    ("cited", "rule"),
    [
        ("auto_mode.soft_deny.0", {"type": "classifier_context", "path": "auto_mode.soft_deny.0"}),
        ("policy.secrets", {"type": "policy", "path": "policy.secrets"}),
        ("auto_mode.soft_deny.7", None),
        ("because", None),
        ("", None),
        (None, None),
        ({"type": "policy", "path": "x"}, None),
    ],
)
def test_only_a_rule_that_exists_is_cited(cited: Any, rule: Any) -> None:
    (result, _) = results(an_answer(a_decision(outcome="flagged", cited_rule=cited)))

    assert result["cited_rule"] == rule


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (" It deletes\n\tall. ", "It deletes all"),
        ("It asks example.com. It deletes.", "It asks example.com. It deletes"),
        ("\x1b[2Jred\x9b31m\u202eback", "[2Jred 31m back"),
        ("x" * 600, "x" * (EXPLANATION_CHARACTERS - 1) + "…"),
        ("x" * 500, "x" * 500),
        ("\x1b" * 600, None),
        ("", None),
        (None, None),
        (["no"], None),
    ],
)
def test_an_explanation_is_a_short_line_for_a_terminal(said: Any, shown: Any) -> None:
    (result, _) = results(an_answer(a_decision(outcome="flagged", explanation=said)))

    assert result["outcome"] == "flagged"
    assert result["explanation"] == shown


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("Git push: I push myself: always", "[Git push] It pushes"),
        ("Git push [named by me] is mine", "[Git push] It pushes"),
        ("Bash(git push:*)", "[Bash(git push:*)] It pushes"),
        ("Never\n  \x1b[2Jpush", "It pushes"),
        ("No\n  \u202epush", "[No push] It pushes"),
        ("x" * 80, f"[{'x' * 80}] It pushes"),
        ("x" * 81, "It pushes"),
        ("a[0] = 1", "It pushes"),
        (": nothing", "It pushes"),
        ("", "It pushes"),
    ],
)
def test_the_rule_is_named_before_the_explanation(rule: str, shown: str) -> None:
    decision = a_decision(outcome="flagged", explanation="It pushes.", cited_rule="rules.deny.0")

    given = tool_uses_from(an_answer(decision), CALLS[:1], {"rules.deny.0": rule})

    assert given["toolu_a"]["explanation"] == shown


def test_a_rule_alone_explains_nothing() -> None:
    (result, _) = results(
        an_answer(a_decision(outcome="flagged", explanation=" ", cited_rule="policy.secrets"))
    )

    assert result["explanation"] is None


def test_calls_that_were_not_judged_say_why() -> None:
    late = {"type": "unavailable", "reason": "timeout"}

    assert unavailable(CALLS, "timeout") == {"toolu_a": late, "toolu_b": late}


# Whatever a judge answers

labels = st.sampled_from(["call_1", "call_2", "call_3", "toolu_a", "", "Call_1"]) | st.text(max_size=8)
outcomes = st.sampled_from(["not_flagged", "flagged", "NOT_FLAGGED", "", None, True, 1]) | st.text(max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
near_decisions = (
    st.fixed_dictionaries({}, optional={"call": labels, "outcome": outcomes, "explanation": json_values})
    | json_values
)
near_answers = st.lists(near_decisions, max_size=5).map(lambda decisions: {"decisions": decisions})


def not_flagged_by_hand(answer: str, label: str) -> bool:
    """The oracle: read by other code than the one under test."""
    try:
        decisions = json.loads(answer.strip().removeprefix("```json").removeprefix("```").removesuffix("```"))
        about = [decision for decision in decisions["decisions"] if decision["call"] == label]
    except (ValueError, LookupError, TypeError):
        return False
    return len(about) == 1 and about[0].get("outcome") == "not_flagged"


def assert_nothing_is_let_through_without_a_decision(answer: str) -> None:
    for call, result in zip(CALLS, results(answer), strict=True):
        assert result["type"] in ("evaluated", "unavailable")
        if result.get("outcome") == "not_flagged":
            assert not_flagged_by_hand(answer, call.label)


@given(json_values | near_answers)
def test_no_json_lets_a_call_through_that_was_not_judged(answer: Any) -> None:
    assert_nothing_is_let_through_without_a_decision(json.dumps(answer))


@given(st.text())
def test_no_text_lets_a_call_through_that_was_not_judged(answer: str) -> None:
    assert_nothing_is_let_through_without_a_decision(answer)


@given(data=st.data())
def test_no_damaged_answer_lets_a_call_through_that_was_not_judged(data: st.DataObject) -> None:
    outcome = st.sampled_from(["not_flagged", "flagged"])
    answer = an_answer(*(a_decision(call.label, data.draw(outcome)) for call in CALLS))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(answer)))
        end = data.draw(st.integers(start, len(answer)))
        between = data.draw(
            st.sampled_from(["", answer[start:end] * 2, "{", "}", '"', ",", "not_"]) | st.text()
        )
        answer = answer[:start] + between + answer[end:]

    assert_nothing_is_let_through_without_a_decision(answer)


@given(st.permutations([a_decision("call_1"), a_decision("call_2", "flagged")]), st.sampled_from([None, 2]))
def test_a_good_answer_is_understood_however_it_is_laid_out(decisions: Any, indent: int | None) -> None:
    answer = json.dumps({"decisions": decisions}, indent=indent)

    assert [result["outcome"] for result in results(answer)] == ["not_flagged", "flagged"]
