"""What the stand-in model says to what Claude Code asks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy_site.emulator.models import MODELS
from proxy_site.emulator.pretend_model.brain import answer
from tests.proxy_site.emulator.builders import Json, call, declaration, model, response, text, user

CLAUDE = MODELS["claude-sonnet-4-6"]
GEMINI = MODELS["gemini-3-flash"]
REMINDER = "<system-reminder>\nWrite nothing. Run nothing. Never read secrets.txt.\n</system-reminder>"
ENVIRONMENT = "Here is the environment:\nPrimary working directory: /home/ada/project\nPlatform: linux"
CLAUDE_CODE = ("Agent", "Bash", "Edit", "Glob", "Grep", "Read", "Skill", "WebFetch", "WebSearch", "Write")


def request(*contents: Json, tools: tuple[str, ...] = CLAUDE_CODE, system: str = "", **more: Any) -> Json:
    declared = [{"functionDeclarations": [declaration(name) for name in tools]}]
    said: Json = {"contents": list(contents), **({"tools": declared} if tools else {})}
    return {**said, **({"systemInstruction": {"parts": [text(system)]}} if system else {}), **more}


def calls_in(parts: list[Json]) -> list[tuple[str, Json]]:
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    return [(one["name"], one["args"]) for one in calls]


def text_of(parts: list[Json]) -> str:
    return "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))


def result(name: str, words: str) -> Json:
    return response(name) | {"functionResponse": {"name": name, "response": {"result": words}}}


def test_it_answers_with_an_echo_and_says_that_it_is_the_demo() -> None:
    said = text_of(answer(request(user(text("What is the moon made of?"))), CLAUDE))

    assert "demo" in said
    assert "What is the moon made of?" in said
    assert "Claude Sonnet 4.6" in said


@pytest.mark.parametrize(("asked", "least", "most"), [("300 words", 300, 315), ("about 1 words", 40, 80)])
def test_an_answer_is_as_long_as_asked(asked: str, least: int, most: int) -> None:
    said = text_of(answer(request(user(text(f"Explain the moon in {asked}."))), CLAUDE))

    assert least <= len(said.split()) <= most


def test_it_answers_the_typed_text_without_reminders() -> None:
    parts = answer(request(user(text(REMINDER), text("Good morning"), text(REMINDER))), CLAUDE)

    assert calls_in(parts) == []
    assert '"Good morning"' in text_of(parts)


def test_asked_for_a_file_it_writes_reads_and_quotes_it() -> None:
    task = user(text(REMINDER), text("Please create a file called notes.md"), text(ENVIRONMENT))
    write = answer(request(task), CLAUDE)
    (name, args) = calls_in(write)[0]
    assert (name, args["file_path"]) == ("Write", "/home/ada/project/notes.md")
    assert args["content"]

    written = [task, model(*write), user(result("Write", "File created"), text(REMINDER))]
    read = answer(request(*written), CLAUDE)
    assert calls_in(read) == [("Read", {"file_path": "/home/ada/project/notes.md"})]

    shown = [*written, model(*read), user(result("Read", "1\tHello from the file"))]
    said = answer(request(*shown), CLAUDE)
    assert calls_in(said) == []
    assert "Hello from the file" in text_of(said)


def test_a_new_task_starts_over() -> None:
    history = [
        user(text("Write a.txt")),
        model(call("Write")),
        user(result("Write", "ok")),
        model(text("Done.")),
        user(text("Now write b.txt")),
    ]

    assert calls_in(answer(request(*history), CLAUDE))[0][1]["file_path"] == "/tmp/b.txt"


@pytest.mark.parametrize(
    ("task", "path"),
    [
        ("Write a file", "/tmp/demo.txt"),
        ("Write to /srv/data/x.json please", "/srv/data/x.json"),
        ("Create 'src/main.py' for me", "/tmp/src/main.py"),
        ("create ./todo.md", "/tmp/todo.md"),
    ],
)
def test_the_file_is_the_one_that_was_named(task: str, path: str) -> None:
    assert calls_in(answer(request(user(text(task))), CLAUDE))[0][1]["file_path"] == path


def test_the_working_directory_may_stand_in_the_system_text() -> None:
    asked = request(user(text("Write a.txt")), system="Working directory: /repo")

    assert calls_in(answer(asked, CLAUDE))[0][1]["file_path"] == "/repo/a.txt"


def test_quoted_words_become_the_content() -> None:
    asked = request(user(text('Write "good day" into hello.txt')))

    assert calls_in(answer(asked, CLAUDE))[0][1]["content"] == "good day"


def test_it_runs_commands_and_lists_folders() -> None:
    run = calls_in(answer(request(user(text("Run `uname -a`"))), CLAUDE))
    listed = calls_in(answer(request(user(text("List this folder"))), CLAUDE))

    assert run == [("Bash", {"command": "uname -a", "description": "Run uname -a"})]
    assert listed[0][1]["command"] == "ls -la"


@pytest.mark.parametrize(
    ("task", "args"),
    [
        ("Search the web for tides in Oslo", {"query": "tides in Oslo"}),
        ("Please search the web for how to write a file.", {"query": "how to write a file"}),
        (
            "Search the web for tides, only on docs.example.net",
            {"query": "tides", "allowed_domains": ["docs.example.net"]},
        ),
        (
            "search the web for tides but not on news.example.com!",
            {"query": "tides", "blocked_domains": ["news.example.com"]},
        ),
    ],
)
def test_it_searches_the_web(task: str, args: Json) -> None:
    assert calls_in(answer(request(user(text(task))), CLAUDE)) == [("WebSearch", args)]


def test_it_loads_a_tool_that_is_not_there_yet() -> None:
    task = user(text("Search the web for tides"))
    load = answer(request(task, tools=("Read", "ToolSearch")), CLAUDE)
    assert calls_in(load) == [("ToolSearch", {"query": "select:WebSearch"})]

    loaded = [task, model(*load), user(result("ToolSearch", "WebSearch"))]
    search = answer(request(*loaded, tools=("Read", "ToolSearch", "WebSearch")), CLAUDE)
    assert calls_in(search) == [("WebSearch", {"query": "tides"})]

    found = [*loaded, model(*search), user(result("WebSearch", "Links: none"))]
    assert "Links: none" in text_of(answer(request(*found, tools=("ToolSearch", "WebSearch")), CLAUDE))

    in_vain = answer(request(*loaded, tools=("Read", "ToolSearch")), CLAUDE)
    assert calls_in(in_vain) == []


@pytest.mark.parametrize("tool", ["Agent", "Task"])
def test_it_sends_out_a_subagent(tool: str) -> None:
    asked = request(user(text("Use a subagent to look around")), tools=(tool, "Bash"))

    name, args = calls_in(answer(asked, CLAUDE))[0]

    assert name == tool
    assert args["subagent_type"] == "general-purpose"
    assert {"description", "prompt"} < set(args)


def test_what_a_subagent_is_told_starts_no_further_work() -> None:
    args = calls_in(answer(request(user(text("Use a subagent")), tools=("Agent", "Bash")), CLAUDE))[0][1]

    assert calls_in(answer(request(user(text(args["prompt"]))), CLAUDE)) == []


def test_a_subagent_hands_its_report_back_where_it_has_a_tool_for_that() -> None:
    asked = request(user(text("What can you see?")), tools=("Bash", "SubagentHandback"))

    [(name, args)] = calls_in(answer(asked, CLAUDE))

    assert name == "SubagentHandback"
    assert "What can you see?" in args["message"]


def test_without_the_tools_it_only_talks() -> None:
    assert calls_in(answer(request(user(text("Write a file and run it")), tools=()), CLAUDE)) == []


def test_a_tool_of_the_callers_own_is_called_with_fitting_arguments() -> None:
    weather = declaration("get_weather")
    weather["parameters"]["properties"] = {"city": {"type": "STRING"}, "days": {"type": "INTEGER"}}
    asked = request(user(text("Weather in Oslo?")), tools=())
    asked["tools"] = [{"functionDeclarations": [weather]}]

    assert calls_in(answer(asked, CLAUDE)) == [("get_weather", {"city": "Weather in Oslo?", "days": 1})]


def test_it_calls_what_it_has_to_call() -> None:
    config = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["Grep"]}}

    assert calls_in(answer(request(user(text("Hello")), toolConfig=config), CLAUDE))[0][0] == "Grep"


def test_it_calls_nothing_when_calling_is_forbidden() -> None:
    config = {"functionCallingConfig": {"mode": "NONE"}}

    assert calls_in(answer(request(user(text("Write a file")), toolConfig=config), CLAUDE)) == []


def test_it_thinks_when_told_to() -> None:
    thinking = {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 2_000}}

    with_thinking = answer(request(user(text("Hello")), generationConfig=thinking), CLAUDE)
    without = answer(request(user(text("Hello"))), CLAUDE)

    assert [bool(part.get("thought")) for part in with_thinking] == [True, False]
    assert [bool(part.get("thought")) for part in without] == [False]


SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "kind": {"enum": ["a", "b"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "size": {"type": ["null", "integer"]},
        "share": {"type": "number"},
        "done": {"type": "boolean"},
    },
    "required": ["title"],
    "additionalProperties": False,
}
FILLED_IN = {
    "title": "Fix the login button",
    "kind": "a",
    "tags": ["Fix the login button"],
    "size": 1,
    "share": 1.5,
    "done": True,
}


def test_gemini_fills_in_the_schema_of_its_config() -> None:
    config = {"responseMimeType": "application/json", "responseSchema": SCHEMA}
    asked = request(user(text("Fix the login button")), tools=(), generationConfig=config)

    assert json.loads(text_of(answer(asked, GEMINI))) == FILLED_IN


def test_gemini_is_asked_for_json_in_words_as_well() -> None:
    config = {"responseMimeType": "application/json"}
    system = 'It must be valid for this JSON Schema: {"type":"array","items":{"enum":[1,"a"]}}'
    asked = request(user(text("Count")), tools=(), generationConfig=config, system=system)

    assert json.loads(text_of(answer(asked, GEMINI))) == [1]


def test_claude_fills_in_the_schema_of_its_system_text() -> None:
    system = f"Answer with JSON only, following this schema:\n{json.dumps(SCHEMA)}\nNothing else."
    asked = request(user(text("Fix the login button")), tools=(), system=system)

    assert json.loads(text_of(answer(asked, CLAUDE))) == FILLED_IN


def test_with_tools_a_schema_in_the_system_text_is_only_text() -> None:
    asked = request(user(text("Hello")), system=f"JSON tools look like this: {json.dumps(SCHEMA)}")

    assert "demo" in text_of(answer(asked, CLAUDE))


def test_text_that_the_client_adds_after_the_task_is_no_task() -> None:
    asked = request(user(text("Good morning")), user(text(f"# Environment\nWrite files.\n{ENVIRONMENT}")))

    parts = answer(asked, CLAUDE)

    assert calls_in(parts) == []
    assert '"Good morning"' in text_of(parts)


def test_text_beside_a_result_is_no_new_task() -> None:
    asked = request(
        user(text("Write a.txt")), model(call("Write")), user(result("Write", "ok"), text("List!"))
    )

    assert calls_in(answer(asked, CLAUDE))[0][0] == "Read"


def test_what_is_typed_after_an_interruption_is_a_new_task() -> None:
    interrupted = user(
        result("Write", "no"), text("[Request interrupted by user for tool use]"), text("List!")
    )
    asked = request(user(text("Write a.txt")), model(call("Write")), interrupted)

    assert calls_in(answer(asked, CLAUDE))[0][0] == "Bash"


def test_it_waits_for_its_subagent_where_it_can() -> None:
    agent = declaration("Agent")
    agent["parameters"]["properties"] = {
        "prompt": {"type": "STRING"},
        "run_in_background": {"type": "BOOLEAN"},
    }
    asked = request(user(text("Use a subagent")), tools=())
    asked["tools"] = [{"functionDeclarations": [agent]}]

    assert calls_in(answer(asked, CLAUDE))[0][1]["run_in_background"] is False


def test_it_tells_what_a_subagent_in_the_background_reports() -> None:
    sent = [user(text("Use a subagent")), model(call("Agent"))]
    away = [*sent, user(result("Agent", "Async agent launched successfully. agentId: 1"))]
    said = text_of(answer(request(*away), CLAUDE))
    assert "on its way" in said
    assert "agentId" not in said

    notice = "<task-notification><status>completed</status><result>I see trees.</result></task-notification>"
    back = [*away, model(text(said)), user(text(f"<system-reminder>{notice}</system-reminder>"))]
    assert "I see trees." in text_of(answer(request(*back), CLAUDE))


def test_it_tells_what_a_subagent_hands_back_in_a_message() -> None:
    elsewhere = result("Agent", "This agent's report was delivered to you as a message. Read it there.")
    message = (
        "Another Claude session sent a message while you were working:\n"
        '<agent-message from="a1">\n'
        "[Subagent hand-back] Not a message. The report follows:\n  I see trees.\n"
        "</agent-message>\n\nThat was an agent."
    )
    asked = request(user(text("Use a subagent")), model(call("Agent")), user(elsewhere, text(message)))

    assert text_of(answer(asked, CLAUDE)).endswith("\n\nI see trees.")


def test_it_shows_a_subagents_report_without_its_frame() -> None:
    framed = "[Subagent hand-back] Not a message. The report follows:\n  I see trees.\nagentId: 1 (secret)"
    asked = request(user(text("Use a subagent")), model(call("Agent")), user(result("Agent", framed)))

    said = text_of(answer(asked, CLAUDE))

    assert said.endswith("\n\nI see trees.")
