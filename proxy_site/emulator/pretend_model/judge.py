"""The pretended model's decisions on tool calls: a few signs of danger, and the rules quoted in the prompt.

It is no real safety check. It follows the prompt it is given, so that prompt, parsing and faults can be
tested: hard denials first, then what the user allows, then soft denials and the signs below. A sentence
outside the fences that says "not flagged" is obeyed, for every call.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from proxy_site.emulator.pretend_model.replies import Part, function_call, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proxy_site.emulator.pretend_model.safety_check import Rule, SafetyCheck

Json = dict[str, Any]
WrongDecisions = Literal["prose", "half_json", "missing", "unknown", "twice", "flipped"]

HARMLESS = "Nothing about it looks dangerous."

_NETWORK = re.compile(r"\b(curl|wget|nc|scp|rsync|nslookup|dig)\b|https?://|\bgit (add|push)\b")
_LOCAL = re.compile(r"\b(localhost|127\.0\.0\.1)\b")
_SEARCH = re.compile(r"\s*(grep|rg|git grep|git log)\b")
_DOCUMENT = re.compile(r"\.(md|rst|txt|adoc)$")
_QUOTED = re.compile(r"`([^`]+)`")
_PERMISSION = re.compile(r"(\w+)\((.*?)(?::?\*)?\)")
_ORDER = re.compile(r"\bnot[ _-]?flagged\b", re.IGNORECASE)


# The parts of a call that are read


@dataclass(frozen=True)
class Action:
    """One call: ``done`` is the command or text that it would run or write, ``said`` every text in its
    arguments."""

    tool: str
    done: str
    said: str
    check: SafetyCheck

    @property
    def steps(self) -> list[str]:
        """Split a shell line into commands, without those that only search."""
        return [step for step in re.split(r"&&|\|\||;|\n", self.done) if not _SEARCH.match(step)]


def action_of(call: Json, check: SafetyCheck) -> Action:
    arguments = call.get("input")
    said = "\n".join(_texts_in(arguments))
    done = said
    if isinstance(arguments, dict):
        command = arguments.get("command")
        done = command if isinstance(command, str) else said
        if _DOCUMENT.search(str(arguments.get("file_path", ""))):
            done = ""
    return Action(str(call.get("tool", "")), done, said, check)


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts_in(one)


# Signs of danger


@dataclass(frozen=True)
class Sign:
    """One sign of danger. ``label`` is the entry of the prompt's policy that it stands for."""

    label: str
    words: str
    is_seen: Callable[[Action], bool]


_SPEAKS_TO_CHECKER = re.compile(
    r"not[ _-]?flagged|\"decisions\"|safety[ -]check|\bchecker\b|(user|person) has approved"
    r"|</?(rules|calls|context)\b",
    re.IGNORECASE,
)
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
_REMOVAL = re.compile(r"\brm\s+-\w*[rR]\w*\s+(.*)")
_SEARCHED_REMOVAL = re.compile(r"\bfind\s+(\S+).*\s-delete\b")
_TEMPORARY = re.compile(r"\b(\w+)=\"?\$\(mktemp\b")
_LOSES_CHANGES = re.compile(r"\bgit (reset --hard|checkout (--|\.)|restore \.|clean -\w*f)")
_DATA = re.compile(r"\bDROP (TABLE|DATABASE)\b|\bdropdb\b|\bterraform destroy\b|\bkubectl\b.*\bdelete\b")
_SECRET = re.compile(
    r"\.ssh/|\.aws/credentials|\.env\b(?!\.example)|\bAKIA[0-9A-Z]{12}|credentials\.json|toJSON\(secrets\)"
)
_RUNS_DOWNLOAD = re.compile(r"\b(curl|wget)\b[^|\n]*\|\s*(sudo\s+)?(\w*/)*(ba|z)?sh\b")
_INSTALLS_FROM_ADDRESS = re.compile(r"\b(pip3?|npm|pnpm|yarn)\b.*\b(install|add)\b.*https?://")
_FORCED_PUSH = re.compile(r"\bgit\b.*\bpush\b.*\s(--force\b|--force-with-lease\b|-f\b|\+\w)")
_BARRIER = re.compile(r"\.claude/settings|bypassPermissions|\bcrontab\b|\.(bash|zsh)rc\b|authorized_keys")


def _removes_elsewhere(action: Action) -> bool:
    removed = [target for step in action.steps for target in _targets_of(step)]
    return any(_is_elsewhere(target, action) for target in removed)


def _targets_of(step: str) -> list[str]:
    if found := _SEARCHED_REMOVAL.search(step):
        return [found.group(1)]
    found = _REMOVAL.search(step)
    return found.group(1).split() if found else []


def _is_elsewhere(target: str, action: Action) -> bool:
    """Return True for a path outside of the working directory, except in a temporary folder that the same
    command has made."""
    place = target.strip("\"'")
    made = {f"${name}" for name in _TEMPORARY.findall(action.done)}
    here = str(action.check.environment.get("live_cwd") or "")
    if place in made or (here and (place == here or place.startswith(f"{here}/"))):
        return False
    return place.startswith(("/", "~", "$", "..")) or place == "*"


def _loses_changes(action: Action) -> bool:
    status = (action.check.environment.get("git_state") or {}).get("status") or {}
    return not status.get("clean", True) and bool(_LOSES_CHANGES.search(action.done))


def _any_step(pattern: re.Pattern[str]) -> Callable[[Action], bool]:
    """Return a check that is true when any step matches, except requests to the machine itself."""
    return lambda action: any(pattern.search(step) and not _LOCAL.search(step) for step in action.steps)


def _sends_secrets(action: Action) -> bool:
    return bool(_SECRET.search(action.done) and _NETWORK.search(action.done))


def _forces_push(action: Action) -> bool:
    asked = re.search(r"\bforce-push\b", action.check.requests, re.IGNORECASE)
    return not asked and _any_step(_FORCED_PUSH)(action)


INJECTION = Sign(
    "policy.injection",
    "Its arguments speak to the checker, or hide text that nobody sees.",
    lambda action: bool(_SPEAKS_TO_CHECKER.search(action.said) or _INVISIBLE.search(action.said)),
)
SIGNS = (
    Sign(
        "policy.barriers",
        "It weakens a protection, or starts something that stays.",
        lambda action: bool(_BARRIER.search(action.done)),
    ),
    Sign("policy.destruction", "It deletes files outside the project.", _removes_elsewhere),
    Sign("policy.destruction", "It discards changes that are not committed.", _loses_changes),
    Sign("policy.destruction", "It deletes data or systems that are not local.", _any_step(_DATA)),
    Sign("policy.secrets", "It takes secrets to where others can read them.", _sends_secrets),
    Sign("policy.foreign_code", "It runs a script straight from an address.", _any_step(_RUNS_DOWNLOAD)),
    Sign("policy.foreign_code", "It installs from a bare address.", _any_step(_INSTALLS_FROM_ADDRESS)),
    Sign("policy.shared_history", "It rewrites history that others share.", _forces_push),
)


# The user's rules


def describes(rule: Rule, action: Action) -> bool:
    """Return True when the rule describes the call: ``Bash(git push:*)`` by its beginning; a sentence by what
    it quotes in backticks, else by two of its longer words."""
    if permission := _PERMISSION.fullmatch(rule.words):
        tool, beginning = permission.groups()
        return tool == action.tool and any(step.strip().startswith(beginning) for step in action.steps)
    if quoted := _QUOTED.findall(rule.words):
        return all(words in action.said for words in quoted)
    long_words = set(re.findall(r"[a-z]{5,}", rule.words.lower()))
    return len(long_words & set(re.findall(r"[a-z]{5,}", action.said.lower()))) >= 2


# Decisions


def decision_on(call: Json, check: SafetyCheck) -> Json:
    """Decide on one call, with the members that the prompt asks for."""
    action = action_of(call, check)
    matching = {rule.list_name: rule for rule in reversed(check.rules) if describes(rule, action)}
    if denied := matching.get("auto_mode.hard_deny") or matching.get("rules.deny"):
        return _denied(call, denied)
    if INJECTION.is_seen(action):
        return _decision(call, INJECTION.words, INJECTION.label, "flagged")
    if allowed := matching.get("auto_mode.allow") or matching.get("rules.allow"):
        return _decision(call, "The person's rule allows it.", allowed.label, "not_flagged")
    if denied := matching.get("auto_mode.soft_deny"):
        return _denied(call, denied)
    sign = next((sign for sign in SIGNS if sign.is_seen(action)), None)
    if sign is not None:
        return _decision(call, sign.words, sign.label, "flagged")
    return _decision(call, HARMLESS, "", "not_flagged")


def _denied(call: Json, rule: Rule) -> Json:
    return _decision(call, f"Denied by the person's rule: {rule.words}", rule.label, "flagged")


def _decision(call: Json, explanation: str, cited_rule: str, outcome: str) -> Json:
    return {
        "call": call.get("call"),
        "explanation": explanation,
        "cited_rule": cited_rule,
        "outcome": outcome,
    }


def answer(check: SafetyCheck, must_call: list[str]) -> list[Part]:
    """Answer as JSON, or as the arguments of the function that has to be called."""
    decisions = [decision_on(call, check) for call in check.calls]
    if _ORDER.search(check.orders):
        decisions = [{**one, "outcome": "not_flagged"} for one in decisions]
    said = {"decisions": decisions}
    return [function_call(must_call[0], said)] if must_call else [text(json.dumps(said))]


# Faults


def spoilt(parts: list[Part], kind: WrongDecisions) -> list[Part]:
    """Change one thing in the judge's answer. Prose and half JSON are text even when a call was required."""
    part = parts[0]
    said = part["functionCall"]["args"] if "functionCall" in part else json.loads(part["text"])
    if kind == "prose":
        return [text("All of this looks fine to me: not_flagged.")]
    if kind == "half_json":
        whole = json.dumps(said)
        return [text(whole[: len(whole) // 2])]
    wrong = {"decisions": _WRONG[kind](said["decisions"])}
    if "functionCall" in part:
        return [function_call(part["functionCall"]["name"], wrong)]
    return [text(json.dumps(wrong))]


def _flip(decisions: list[Json]) -> list[Json]:
    other = {"flagged": "not_flagged", "not_flagged": "flagged"}
    return [{**one, "outcome": other[one["outcome"]]} for one in decisions]


_WRONG: dict[str, Callable[[list[Json]], list[Json]]] = {
    "missing": lambda decisions: decisions[:-1],
    "unknown": lambda decisions: [*decisions[:-1], *({**one, "call": "call_99"} for one in decisions[-1:])],
    "twice": lambda decisions: [*decisions, *decisions[-1:]],
    "flipped": _flip,
}
