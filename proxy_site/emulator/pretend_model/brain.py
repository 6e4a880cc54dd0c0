"""The pretended model's replies. Pure: from a decoded request to the parts of a reply.

It follows simple instructions, enough to try Claude Code with it: it writes and reads files, runs commands,
searches the web, starts a subagent, fills in JSON schemas, judges tool calls (``judge.py``), and otherwise
answers with an echo of the question. ``replies.py`` adds signatures and ids.
"""

from __future__ import annotations

import itertools
import json
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxy_site.emulator.pretend_model import judge
from proxy_site.emulator.pretend_model.replies import Part, function_call, text, thinking
from proxy_site.emulator.pretend_model.safety_check import read_safety_check

if TYPE_CHECKING:
    from proxy_site.emulator.models import Model

Json = dict[str, Any]

_SENTENCE = "Sentence {number} says nothing new, and is only here to make the answer longer."
_WORDS_IN_A_SENTENCE = len(_SENTENCE.split())
EXAMPLE_TEXT = "Hello from the demo of Antigravity Claude Proxy.\nNo real model wrote this line.\n"

# Claude Code wraps its own additions in such tags.
_REMINDER = re.compile(r"<(system-reminder|local-command-[a-z]+|command-[a-z]+)>.*?</\1>", re.DOTALL)
_INTERRUPTED = "[Request interrupted"
_HAND_BACK = re.compile(r"^\[Subagent hand-back\].*?follows:\n(.*?)(?:\nagentId:|\Z)", re.DOTALL)
_HAND_BACK_TOOL = "SubagentHandback"
_REPORTS = (
    re.compile(r"<task-notification>.*?<result>(.*?)</result>", re.DOTALL),
    re.compile(r"<agent-message [^>]*>\n(.*?)\n</agent-message>", re.DOTALL),
)
_SUBAGENT = re.compile(r"sub-?agent|\b(agent|task) tool\b|\b(use|start|launch|ask) (an?|the) agent\b")
_WORKING_DIRECTORY = re.compile(r"(?:Primary )?[Ww]orking directory:\s*(\S+)")
_FILE_NAME = re.compile(r"(?:[\w./~-]*/)?[\w-]+\.(?:txt|md|py|js|ts|json|toml|ya?ml|html|css|sh|csv)\b")
_ORDER_OF_JSON = re.compile(r"\bvalid for this JSON Schema: \{")
_SEARCH = re.compile(r"\bsearch the web for (.+?)(?:,? (only|but not) on (\S+?))?[.?!]?$", re.IGNORECASE)
_LENGTH = re.compile(r"\bin (?:about )?(\d{1,4}) words\b", re.IGNORECASE)
_QUOTED = re.compile(r"[\"“'`]([^\"”'`\n]+)[\"”'`]")


@dataclass(frozen=True)
class Situation:
    """The parts of the request on which the reply depends."""

    task: str
    """The text that the user typed last."""
    results: list[Json]
    """The results of tools since then, oldest first: functionResponse objects."""
    tools: dict[str, Json]
    """Parameters of the declared functions by name; empty when calling is forbidden."""
    background: str
    """The system instruction and everything that the client added around the task."""
    generation_config: Json
    must_call: list[str]
    """Functions of which one has to be called; usually none."""

    @property
    def thinks(self) -> bool:
        config = self.generation_config.get("thinkingConfig") or {}
        return bool(config.get("includeThoughts")) and config.get("thinkingBudget") != 0


Step = Callable[[Situation], Part]


def answer(request: Json, model: Model) -> list[Part]:
    """Return the parts of the reply to a ``request`` (the envelope's member, names in camelCase)."""
    check = read_safety_check(request)
    if check is not None:
        return judge.answer(check, _callable_tools(request)[1])
    situation = read_situation(request)
    reply = _reply_to(situation, model)
    thinks = situation.thinks and model.family != "gpt"
    return [_thought_about(situation, reply), *reply] if thinks else reply


def _reply_to(situation: Situation, model: Model) -> list[Part]:
    schema = answer_schema(situation)
    steps = plan(situation) if schema is None or situation.tools else []
    done = len(situation.results)
    if done < len(steps):
        call = steps[done](situation)
        return [text(f"I will use {call['functionCall']['name']} now."), call]
    if schema is not None:
        return [text(json.dumps(example_for(schema, situation.task)))]
    words = _report(situation) if situation.results else _echo(situation, model)
    # In auto mode this is the only way for a subagent to report; a question in text is asked once more.
    if _HAND_BACK_TOOL in situation.tools:
        return [function_call(_HAND_BACK_TOOL, {"message": words})]
    return [text(words)]


def _thought_about(situation: Situation, reply: list[Part]) -> Part:
    calls = [part["functionCall"]["name"] for part in reply if "functionCall" in part]
    next_step = f"The next step is {calls[0]}." if calls else "Words are enough here."
    return thinking(f'They ask: "{_shortened(situation.task, 80)}" {next_step}')


# Reading the request


def read_situation(request: Json) -> Situation:
    turns = _merged(request["contents"])
    start = _start_of_turn(turns)
    said = [_all_text(turn) for turn in turns[: start + 1]]
    system = _all_text(request.get("systemInstruction") or {})
    tools, must_call = _callable_tools(request)
    return Situation(
        task=typed_in(turns[start]),
        results=[result for turn in turns[start + 1 :] for result in _results_in(turn)],
        tools=tools,
        background="\n".join([system, *said]),
        generation_config=request.get("generationConfig") or {},
        must_call=must_call,
    )


def _results_in(turn: Json) -> list[Json]:
    """Return results of tools, and reports of finished subagents in the background."""
    answered = [part["functionResponse"] for part in turn["parts"] if "functionResponse" in part]
    reported = [words for report in _REPORTS for words in report.findall(_all_text(turn))]
    return answered + [{"name": "subagent", "response": {"result": words}} for words in reported]


def _start_of_turn(turns: list[Json]) -> int:
    """Return the index of the user's last typed message."""
    for index in range(len(turns) - 1, -1, -1):
        if turns[index]["role"] == "user" and typed_in(turns[index]):
            return index
    return 0


def _merged(contents: list[Json]) -> list[Json]:
    """Merge neighbours of one role into one turn: Claude Code sends its environment right after the task."""
    turns: list[Json] = []
    for role, group in itertools.groupby(contents, key=lambda content: content.get("role", "user")):
        turns.append({"role": role, "parts": [part for content in group for part in content["parts"]]})
    return turns


def typed_in(turn: Json) -> str:
    """Return the text the user typed: the first text outside reminders, or the last one after an
    interruption. Other text beside tool results is usually the client's."""
    texts = [part["text"] for part in turn["parts"] if "text" in part]
    typed = [stripped for words in texts if (stripped := _REMINDER.sub("", words).strip())]
    if not any("functionResponse" in part for part in turn["parts"]):
        return typed[0] if typed else ""
    interrupted = any(words.startswith(_INTERRUPTED) for words in typed)
    return typed[-1] if interrupted and not typed[-1].startswith(_INTERRUPTED) else ""


def _all_text(content: Json) -> str:
    return "\n".join(part["text"] for part in content.get("parts") or [] if "text" in part)


def _callable_tools(request: Json) -> tuple[dict[str, Json], list[str]]:
    config = (request.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if config.get("mode") == "NONE":
        return {}, []
    declarations = [d for tool in request.get("tools") or [] for d in tool.get("functionDeclarations") or []]
    tools = {declaration["name"]: declaration.get("parameters") or {} for declaration in declarations}
    allowed = config.get("allowedFunctionNames") or list(tools)
    return tools, allowed if config.get("mode") == "ANY" else []


# Instructions that it follows


def plan(situation: Situation) -> list[Step]:
    """Return the calls to make, in order, for the task."""
    if situation.must_call:
        return [_example_call(situation.must_call[0])]
    task = situation.task.lower()
    if (agent := _agent_tool(situation)) and _SUBAGENT.search(task):
        return [_call_agent(agent)]
    if asked := _SEARCH.search(situation.task):
        return _searching(situation, *asked.groups())
    if re.search(r"\b(write|create|save)\b", task) and "Write" in situation.tools:
        return [_call_write, _call_read] if "Read" in situation.tools else [_call_write]
    if re.search(r"\bread\b", task) and "Read" in situation.tools and file_named_in(situation):
        return [_call_read]
    if re.search(r"\b(run|list|execute)\b", task) and "Bash" in situation.tools:
        return [_call_bash]
    return [_example_call(name) for name in _tools_meant_by(situation)]


def _agent_tool(situation: Situation) -> str | None:
    return next((name for name in ("Agent", "Task") if name in situation.tools), None)


def _tools_meant_by(situation: Situation) -> list[str]:
    """Choose the tool whose name shares a word with the task, in a small set of tools such as an
    example's."""
    if len(situation.tools) > 8:
        return []
    task = set(re.findall(r"[a-z]{4,}", situation.task.lower()))
    meant = [name for name in situation.tools if task & set(re.findall(r"[a-z]{4,}", name.lower()))]
    return meant[:1]


def _call_write(situation: Situation) -> Part:
    content = _quoted_content(situation.task) or EXAMPLE_TEXT
    return function_call("Write", {"file_path": file_path(situation), "content": content})


def _call_read(situation: Situation) -> Part:
    return function_call("Read", {"file_path": file_path(situation)})


def _call_bash(situation: Situation) -> Part:
    quoted = re.search(r"`([^`]+)`", situation.task)
    command = quoted.group(1) if quoted else "ls -la"
    return function_call("Bash", {"command": command, "description": f"Run {command}"})


def _searching(situation: Situation, query: str, only_or_not: str | None, host: str | None) -> list[Step]:
    """Search the web. Claude Code must load WebSearch with ToolSearch before it may be called."""
    domains = {"only": "allowed_domains", "but not": "blocked_domains"}
    restriction = {domains[only_or_not.lower()]: [host]} if only_or_not else {}
    search = function_call("WebSearch", {"query": query, **restriction})
    load = function_call("ToolSearch", {"query": "select:WebSearch"})
    was_loaded = any(result.get("name") == "ToolSearch" for result in situation.results)
    if "WebSearch" not in situation.tools:
        return [lambda _: load] if "ToolSearch" in situation.tools else []
    return [*([lambda _: load] if was_loaded else []), lambda _: search]


def _call_agent(name: str) -> Step:
    prompt = "Answer with one short sentence about what you can see."
    args: Json = {"description": "Look around", "prompt": prompt, "subagent_type": "general-purpose"}

    def step(situation: Situation) -> Part:
        # Claude Code runs subagents in the background unless told to wait.
        can_wait = "run_in_background" in (situation.tools[name].get("properties") or {})
        return function_call(name, {**args, "run_in_background": False} if can_wait else args)

    return step


def _example_call(name: str) -> Step:
    return lambda situation: function_call(
        name, example_for(situation.tools.get(name) or {"type": "OBJECT"}, situation.task)
    )


def file_named_in(situation: Situation) -> str | None:
    found = _FILE_NAME.search(situation.task)
    return found.group() if found else None


def file_path(situation: Situation) -> str:
    """Return an absolute path: as named in the task, in the working directory that the client mentions, else
    in /tmp."""
    name = file_named_in(situation) or "demo.txt"
    if name.startswith("/"):
        return name
    directory = _WORKING_DIRECTORY.search(f"{situation.background}\n{situation.task}")
    folder = directory.group(1).rstrip("/") if directory else "/tmp"  # noqa: S108 -- the last resort
    return f"{folder}/{name.removeprefix('./')}"


def _quoted_content(task: str) -> str | None:
    return next((found for found in _QUOTED.findall(task) if not _FILE_NAME.fullmatch(found)), None)


# Words


def _report(situation: Situation) -> str:
    result = result_text(situation.results[-1])
    if result.startswith("Async agent launched"):
        return "The subagent is on its way. I will tell you what it says when it is back."
    return (
        f"Done. This is the demo speaking, and the last tool ({situation.results[-1].get('name')}) "
        f"answered:\n\n{_shortened(result, 1500)}"
    )


def result_text(function_response: Json) -> str:
    """Return a tool's text, without the frame that Claude Code puts around a subagent's report."""
    said = _words_of(function_response)
    report = _HAND_BACK.search(said)
    return textwrap.dedent(report.group(1)) if report else said


def _words_of(function_response: Json) -> str:
    response = function_response.get("response") or {}
    known = response.get("result", response.get("output", response.get("error")))
    return known if isinstance(known, str) else json.dumps(known if known is not None else response)


def _echo(situation: Situation, model: Model) -> str:
    echo = (
        f"This is the demo: no real model was asked, a stand-in for {model.display_name} answers. "
        f'You wrote: "{_shortened(situation.task, 300)}". '
        "Ask me to write a file, to run a command, to list a folder, to search the web for something or to "
        "use a subagent, and I will call the tool for it and tell you what it said."
    )
    asked = _LENGTH.search(situation.task)
    return _filled(echo, int(asked[1])) if asked else echo


def _filled(words: str, count: int) -> str:
    """Return the words with sentences added until there are `count` words. Longer text is not cut."""
    missing = range(count - len(words.split()), 0, -_WORDS_IN_A_SENTENCE)
    return " ".join([words, *(_SENTENCE.format(number=number) for number, _ in enumerate(missing, 1))])


def _shortened(words: str, length: int) -> str:
    return words if len(words) <= length else words[: length - 1].rstrip() + "…"


# JSON


def answer_schema(situation: Situation) -> Json | None:
    """Return the schema that the answer must follow: in the config or, for Claude always, in the system
    text."""
    config = situation.generation_config
    if config.get("responseMimeType") == "application/json":
        return config.get("responseSchema") or _ordered_schema(situation) or {"type": "OBJECT"}
    if situation.tools:
        return _ordered_schema(situation)
    return _schema_in(situation.background) if "json" in situation.background.lower() else None


def _ordered_schema(situation: Situation) -> Json | None:
    """Return the schema of an explicit instruction; other schemas are parts of descriptions of tools and
    files."""
    order = _ORDER_OF_JSON.search(situation.background)
    if order is None:
        return None
    try:
        schema, _ = json.JSONDecoder().raw_decode(situation.background, order.end() - 1)
    except ValueError:
        return None
    return dict(schema)


def _schema_in(words: str) -> Json | None:
    """Return the first JSON object in the text that looks like a schema."""
    decoder = json.JSONDecoder()
    for brace in re.finditer(r"\{", words):
        try:
            found, _ = decoder.raw_decode(words, brace.start())
        except ValueError:
            continue
        if isinstance(found, dict) and "properties" in found:
            return found
    return None


def example_for(schema: Json, task: str, depth: int = 0) -> Any:
    """Build a value that fits the schema; strings get words of the task."""
    if schema.get("enum"):
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    return _EXAMPLES.get(_type_of(schema), _example_string)(schema, task, depth)


def _type_of(schema: Json) -> str:
    declared = schema.get("type") or ("object" if "properties" in schema else "string")
    names = [declared] if isinstance(declared, str) else [name for name in declared if name != "null"]
    return str(names[0]).lower() if names else "string"


def _example_string(schema: Json, task: str, depth: int) -> str:
    return " ".join(task.split()[:6]) or "example"


def _example_object(schema: Json, task: str, depth: int) -> Json:
    properties = schema.get("properties") or {}
    wanted = properties if depth == 0 else schema.get("required") or []
    return {name: example_for(properties.get(name) or {}, task, depth + 1) for name in wanted}


def _example_array(schema: Json, task: str, depth: int) -> list[Any]:
    items = schema.get("items")
    return [example_for(items, task, depth + 1)] if isinstance(items, dict) and depth < 8 else []


_EXAMPLES: dict[str, Callable[[Json, str, int], Any]] = {
    "object": _example_object,
    "array": _example_array,
    "integer": lambda schema, task, depth: 1,
    "number": lambda schema, task, depth: 1.5,
    "boolean": lambda schema, task, depth: True,
    "string": _example_string,
}
