"""The table of what a request may hold: each parameter, content block and tool with its fields.

It says what the official SDK's types say (``anthropic.types``, stable and beta; a test walks them), and is
more lenient in these points, since a 400 costs more than it helps:

* A newer type of block, tool, thinking, source, citation, caller or edit passes, and so does any field that
  is not named here: clients are released more often than this gateway.
* The same holds for words that grow with the models: effort, ``thinking.display``, ``speed``, ``clear_at``,
  ``allowed_callers``, the names of server tools, and the error codes in their results.
* An optional field that is null counts as absent; so does a required one that may be null.
* Histories are taken as clients keep them, because a session whose history is refused is lost: a call,
  also of server tools and MCP, without ``input`` or with one that is no object, thinking without a
  signature, results of server tools without the fields only Anthropic can read. Translation mends them or
  shows them as text.
* Schemas of tools are taken as they are. Tools may have the forms of other APIs (``function.parameters``).

What one field means for another is in request_rules.py.
"""

from __future__ import annotations

import re
from typing import Any

from gateway.dialects.anthropic.checks import (
    Check,
    Mismatch,
    an_object,
    base64_data,
    boolean,
    filled_string,
    fraction,
    integer,
    integer_of_at_least,
    list_of,
    map_of,
    not_permitted,
    one_of,
    shape,
    string,
    string_or,
    variants,
)

IMAGE_MEDIA_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
DOCUMENT_MEDIA_TYPES = frozenset({"application/pdf"})
MIN_THINKING_BUDGET = 1024
# Anthropic's own limits.
LONGEST_MODEL = 256
MOST_MESSAGES = 100_000
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")


def model_name(value: Any) -> None:
    string(value)
    if not value.strip():
        raise Mismatch("String should have at least 1 character")
    if len(value) > LONGEST_MODEL:
        raise Mismatch(f"String should have at most {LONGEST_MODEL} characters")


def tool_name(value: Any) -> None:
    string(value)
    if not TOOL_NAME.fullmatch(value):
        raise Mismatch("String should match pattern '^[a-zA-Z0-9_-]{1,128}$'")


def stop_sequence(value: Any) -> None:
    string(value)
    if not value.strip():
        raise Mismatch("each stop sequence must contain non-whitespace")


STRINGS = list_of(string)
CACHE_CONTROL = variants({"ephemeral": shape(ttl=one_of("5m", "1h"))})


def cacheable(required: dict[str, Check] | None = None, /, **optional: Check) -> Check:
    return shape(required, cache_control=CACHE_CONTROL, **optional)


# --- text, images and documents ---


def location(index: str, required: dict[str, Check], /, **optional: Check) -> Check:
    indexes = {f"start_{index}": integer, f"end_{index}": integer}
    return shape({"cited_text": string, **required, **indexes}, **optional)


CITATION = variants(
    {
        "char_location": location("char_index", {"document_index": integer}, document_title=string),
        "page_location": location("page_number", {"document_index": integer}, document_title=string),
        "content_block_location": location("block_index", {"document_index": integer}, document_title=string),
        "web_search_result_location": shape(
            {"cited_text": string, "url": string}, encrypted_index=string, title=string
        ),
        "search_result_location": location(
            "block_index", {"search_result_index": integer, "source": string}, title=string
        ),
    },
    is_open=True,
)
CITATIONS_CONFIG = shape(enabled=boolean)
TEXT = cacheable({"text": string}, citations=list_of(CITATION))

URL_SOURCE = shape({"url": filled_string})
FILE_SOURCE = shape({"file_id": filled_string})
IMAGE_SOURCE = variants(
    {
        "base64": shape({"media_type": one_of(*sorted(IMAGE_MEDIA_TYPES)), "data": base64_data}),
        "url": URL_SOURCE,
        "file": FILE_SOURCE,
    },
    is_open=True,
)
IMAGE = cacheable(
    {"source": IMAGE_SOURCE}, transformations=shape(oversized_image=one_of("downsize", "error"))
)
DOCUMENT_SOURCE = variants(
    {
        "base64": shape({"media_type": one_of(*sorted(DOCUMENT_MEDIA_TYPES)), "data": base64_data}),
        "text": shape({"media_type": one_of("text/plain"), "data": string}),
        "content": shape({"content": list_of(variants({"text": TEXT, "image": IMAGE}), or_string=True)}),
        "url": URL_SOURCE,
        "file": FILE_SOURCE,
    },
    is_open=True,
)
DOCUMENT = cacheable({"source": DOCUMENT_SOURCE}, citations=CITATIONS_CONFIG, context=string, title=string)
SEARCH_RESULT = cacheable(
    {"content": list_of(variants({"text": TEXT})), "source": string, "title": string},
    citations=CITATIONS_CONFIG,
)

# --- results of tools ---

STATE_CHANGE = variants(
    {
        "tab_opened": shape({"tab_id": string}),
        "download_started": shape({"download_id": string, "url": string}),
        "download_completed": shape({"download_id": string, "url": string}, path=string, size_bytes=integer),
        "download_failed": shape({"download_id": string, "url": string}, error=string),
    },
    is_open=True,
)
RESULT_BLOCKS = {
    "text": TEXT,
    "image": IMAGE,
    "document": DOCUMENT,
    "search_result": SEARCH_RESULT,
    "tool_reference": cacheable({"tool_name": string}),
    "browser_state": cacheable(
        {"tabs": list_of(shape({"tab_id": string, "title": string, "url": string}, active=boolean))},
        state_changes=list_of(STATE_CHANGE),
    ),
}
RESULT_CONTENT = list_of(variants(RESULT_BLOCKS, is_open=True), or_string=True)
TOOL_RESULT = cacheable(
    {"tool_use_id": filled_string}, content=RESULT_CONTENT, is_error=boolean, toolset_name=string
)

SERVER_TOOL_ERROR = shape({"error_code": string}, error_message=string)
CODE_OUTPUT = variants(
    {
        "code_execution_output": shape({"file_id": string}),
        "bash_code_execution_output": shape({"file_id": string}),
        **RESULT_BLOCKS,
    },
    is_open=True,
)
CODE_RESULT = shape(
    {"content": list_of(CODE_OUTPUT), "return_code": integer, "stderr": string, "stdout": string}
)
ENCRYPTED_CODE_RESULT = shape(
    {"content": list_of(CODE_OUTPUT), "return_code": integer, "stderr": string}, encrypted_stdout=string
)
SERVER_TOOL_RESULT = variants(
    {
        "web_search_tool_result_error": SERVER_TOOL_ERROR,
        "web_fetch_tool_result_error": SERVER_TOOL_ERROR,
        "web_fetch_result": shape(
            {"content": variants({"document": DOCUMENT}), "url": string}, retrieved_at=string
        ),
        "code_execution_tool_result_error": SERVER_TOOL_ERROR,
        "code_execution_result": CODE_RESULT,
        "encrypted_code_execution_result": ENCRYPTED_CODE_RESULT,
        "bash_code_execution_tool_result_error": SERVER_TOOL_ERROR,
        "bash_code_execution_result": CODE_RESULT,
        "text_editor_code_execution_tool_result_error": SERVER_TOOL_ERROR,
        "text_editor_code_execution_view_result": shape(
            {"content": string, "file_type": string},
            num_lines=integer,
            start_line=integer,
            total_lines=integer,
        ),
        "text_editor_code_execution_create_result": shape({"is_file_update": boolean}),
        "text_editor_code_execution_str_replace_result": shape(
            lines=STRINGS, new_lines=integer, new_start=integer, old_lines=integer, old_start=integer
        ),
        "tool_search_tool_result_error": SERVER_TOOL_ERROR,
        "tool_search_tool_search_result": shape(
            {"tool_references": list_of(variants({"tool_reference": RESULT_BLOCKS["tool_reference"]}))}
        ),
        "advisor_tool_result_error": SERVER_TOOL_ERROR,
        "advisor_result": shape({"text": string}, stop_reason=string),
        "advisor_redacted_result": shape(encrypted_content=string, stop_reason=string),
    },
    is_open=True,
)
WEB_SEARCH_RESULT = variants(
    {
        "web_search_result": shape(
            {"title": string, "url": string}, encrypted_content=string, page_age=string
        ),
        **RESULT_BLOCKS,
    },
    is_open=True,
)


def web_search_content(value: Any) -> None:
    """Check a list of results, or one error."""
    if isinstance(value, list):
        list_of(WEB_SEARCH_RESULT)(value)
    else:
        SERVER_TOOL_RESULT(value)


CALLER = variants(
    {
        "direct": an_object,
        "code_execution_20250825": shape({"tool_id": string}),
        "code_execution_20260120": shape({"tool_id": string}),
    },
    is_open=True,
)


def server_result(content: Check = SERVER_TOOL_RESULT) -> Check:
    return cacheable({"tool_use_id": string, "content": content}, caller=CALLER)


# --- tools ---

TOOL_OPTIONS: dict[str, Check] = {
    "allowed_callers": STRINGS,
    "cache_control": CACHE_CONTROL,
    "defer_loading": boolean,
    "input_examples": list_of(an_object),
    "strict": boolean,
}
SEARCHED_SITES: dict[str, Check] = {
    "allowed_domains": STRINGS,
    "blocked_domains": STRINGS,
    "max_uses": integer,
    "response_inclusion": one_of("full", "excluded"),
}
NAMED_TOOLS = shape({"tools": list_of(variants({"tool_reference": shape({"name": string})}))})
SOURCES_OF_URLS = variants(
    {"all": an_object, "none": an_object, "only": NAMED_TOOLS, "except": NAMED_TOOLS}, is_open=True
)


def input_schema(value: Any) -> None:
    """Check that the schema is an object and nothing more: schemas of MCP servers are often wrong, and the
    translation repairs them."""
    an_object(value)
    if value.get("type") not in (None, "object"):
        raise Mismatch("Input should be 'object'", "type")


CUSTOM_TOOL = shape(
    {"name": tool_name, "input_schema": input_schema},
    description=string,
    eager_input_streaming=boolean,
    **TOOL_OPTIONS,
)
FUNCTION = shape(name=tool_name, description=string, parameters=an_object, input_schema=an_object)
FOREIGN_TOOL = shape(function=FUNCTION, custom=FUNCTION, name=tool_name, parameters=an_object)
FOREIGN_KEYS = {"function", "custom", "parameters"}
MCP_TOOLS = list_of(shape({"name": string, "input_schema": an_object}, description=string))
USE_OF_A_TOOL = shape(defer_loading=boolean, enabled=boolean)
TOOLSET = cacheable(configs=map_of(USE_OF_A_TOOL))


def named(name: str, required: dict[str, Check] | None = None, /, **optional: Check) -> Check:
    return shape({"name": one_of(name), **(required or {})}, **TOOL_OPTIONS, **optional)


COMPUTER = named(
    "computer",
    {"display_height_px": integer, "display_width_px": integer},
    display_number=integer,
    enable_zoom=boolean,
)
WEB_SEARCH = named(
    "web_search",
    **SEARCHED_SITES,
    user_location=variants(
        {"approximate": shape(city=string, country=string, region=string, timezone=string)}
    ),
)
WEB_FETCH = named(
    "web_fetch",
    **SEARCHED_SITES,
    citations=CITATIONS_CONFIG,
    max_content_tokens=integer,
    use_cache=boolean,
    url_sources=shape(
        client_tool_results=SOURCES_OF_URLS, server_tool_results=SOURCES_OF_URLS, user_input=SOURCES_OF_URLS
    ),
)


TOOL_TYPES: dict[str, Check] = {
    "custom": CUSTOM_TOOL,
    "function": FOREIGN_TOOL,
    "bash_20241022": named("bash"),
    "bash_20250124": named("bash"),
    "text_editor_20241022": named("str_replace_editor"),
    "text_editor_20250124": named("str_replace_editor"),
    "text_editor_20250429": named("str_replace_based_edit_tool"),
    "text_editor_20250728": named("str_replace_based_edit_tool", max_characters=integer),
    "computer_20241022": COMPUTER,
    "computer_20250124": COMPUTER,
    "computer_20251124": COMPUTER,
    "memory_20250818": named("memory"),
    "computer_toolset_20260801": TOOLSET,
    "browser_toolset_20260801": TOOLSET,
    "code_execution_20250522": named("code_execution"),
    "code_execution_20250825": named("code_execution"),
    "code_execution_20260120": named("code_execution"),
    "code_execution_20260521": named("code_execution"),
    "web_search_20250305": WEB_SEARCH,
    "web_search_20260209": WEB_SEARCH,
    "web_search_20260318": WEB_SEARCH,
    "web_fetch_20250910": WEB_FETCH,
    "web_fetch_20260209": WEB_FETCH,
    "web_fetch_20260309": WEB_FETCH,
    "web_fetch_20260318": WEB_FETCH,
    "tool_search_tool_bm25": named("tool_search_tool_bm25"),
    "tool_search_tool_bm25_20251119": named("tool_search_tool_bm25"),
    "tool_search_tool_regex": named("tool_search_tool_regex"),
    "tool_search_tool_regex_20251119": named("tool_search_tool_regex"),
    "advisor_20260301": named(
        "advisor", {"model": string}, caching=CACHE_CONTROL, max_tokens=integer, max_uses=integer
    ),
    "mcp_toolset": cacheable(
        {"mcp_server_name": string},
        configs=map_of(USE_OF_A_TOOL),
        default_config=USE_OF_A_TOOL,
        tools=MCP_TOOLS,
    ),
}
NEWER_TOOL = shape(name=tool_name)


def tool(value: Any) -> None:
    """Check a tool. No type means ``custom``. Of a newer type only the name is checked, if it has one."""
    an_object(value)
    kind = value.get("type") or "custom"
    if type(kind) is not str:
        raise Mismatch("Input should be a valid string", "type")
    if kind == "custom" and "input_schema" not in value and FOREIGN_KEYS & value.keys():
        kind = "function"
    TOOL_TYPES.get(kind, NEWER_TOOL)(value)


TOOL_CHOICE = variants(
    {
        "auto": shape(disable_parallel_tool_use=boolean),
        "any": shape(disable_parallel_tool_use=boolean),
        "tool": shape({"name": filled_string}, disable_parallel_tool_use=boolean),
        "none": an_object,
    }
)
TOOL_REFERENCE: dict[str, Check] = {
    "tool_reference": shape({"name": string}),
    "mcp_tool_reference": shape({"name": string, "server_name": string}),
    "mcp_toolset_reference": shape({"server_name": string}),
}
ADDED_TOOL = variants(
    {**TOOL_REFERENCE, "tool_definition": shape({"definition": tool}), "function": FOREIGN_TOOL}, is_open=True
)
TOOL_ADDITION = cacheable({"tool": ADDED_TOOL})
TOOL_REMOVAL = cacheable({"tool": variants(TOOL_REFERENCE, is_open=True)})
TOOL_CHANGES: dict[str, Check] = {"tool_addition": TOOL_ADDITION, "tool_removal": TOOL_REMOVAL}

# --- messages ---

ASSISTANT_ONLY: dict[str, Check] = {
    "thinking": shape({"thinking": string}, signature=string),
    "redacted_thinking": shape({"data": string}),
    "tool_use": cacheable({"id": filled_string, "name": filled_string}, caller=CALLER, toolset_name=string),
}
USER_ONLY: dict[str, Check] = {"tool_result": TOOL_RESULT}
EITHER_ROLE: dict[str, Check] = {
    "text": TEXT,
    "image": IMAGE,
    "document": DOCUMENT,
    "search_result": SEARCH_RESULT,
    "server_tool_use": cacheable({"id": string, "name": string}, caller=CALLER),
    "web_search_tool_result": server_result(web_search_content),
    "web_fetch_tool_result": server_result(),
    "code_execution_tool_result": server_result(),
    "bash_code_execution_tool_result": server_result(),
    "text_editor_code_execution_tool_result": server_result(),
    "tool_search_tool_result": server_result(),
    "advisor_tool_result": server_result(),
    "mcp_tool_use": cacheable({"id": string, "name": string, "server_name": string}),
    "mcp_tool_result": cacheable({"tool_use_id": string}, content=RESULT_CONTENT, is_error=boolean),
    "mcp_tool_listing": shape({"mcp_server_name": string, "tools": MCP_TOOLS}),
    "container_upload": cacheable({"file_id": string}),
    "compaction": cacheable(
        content=string,
        encrypted_content=string,
        signature=string,
        tool_changes=list_of(variants(TOOL_CHANGES, is_open=True)),
    ),
    "fallback": shape({"from": shape({"model": string}), "to": shape({"model": string})}),
    **TOOL_CHANGES,
}
SYSTEM_BLOCKS: dict[str, Check] = {"text": TEXT, **TOOL_CHANGES}


def content_of(blocks: dict[str, Check], **only_in: dict[str, Check]) -> Check:
    """Check a text or a list of blocks. ``only_in`` names blocks that only another role may send."""
    misplaced = {
        block: f"`{block}` blocks may only be in `{role}` messages"
        for role, others in only_in.items()
        for block in others
    }
    return list_of(variants(blocks, is_open=True, misplaced=misplaced), or_string=True)


def messages_of(user: Check, assistant: Check) -> Check:
    system = content_of(
        SYSTEM_BLOCKS, user={**EITHER_ROLE, **USER_ONLY, **SYSTEM_BLOCKS}, assistant=ASSISTANT_ONLY
    )
    roles = {
        "user": shape({"content": user}),
        "assistant": shape({"content": assistant}),
        "system": shape(content=system, output_config=shape(effort=string), clear_at=string),
    }
    return list_of(variants(roles, by="role"), at_least=1, at_most=MOST_MESSAGES)


MESSAGES = messages_of(
    user=content_of({**EITHER_ROLE, **USER_ONLY}, assistant=ASSISTANT_ONLY),
    assistant=content_of({**EITHER_ROLE, **ASSISTANT_ONLY}, user=USER_ONLY),
)


def no_citations(value: Any) -> None:
    list_of(CITATION)(value)
    if value:
        raise Mismatch("text blocks in `user` messages may not have citations")


# From version 2026-10-21 on (platform.claude.com/docs/en/api/versioning).
MESSAGES_2026 = messages_of(
    user=content_of(
        {**EITHER_ROLE, **USER_ONLY, "text": cacheable({"text": string}, citations=no_citations)},
        assistant=ASSISTANT_ONLY,
    ),
    assistant=content_of(
        {**{name: check for name, check in EITHER_ROLE.items() if name != "document"}, **ASSISTANT_ONLY},
        user={**USER_ONLY, "document": DOCUMENT},
    ),
)

# --- parameters ---

BLOCK_BINDING = shape(prefix_mismatch_behavior=string)
TYPED_THINKING = variants(
    {
        "enabled": shape(
            {"budget_tokens": integer_of_at_least(MIN_THINKING_BUDGET)},
            display=string,
            block_binding=BLOCK_BINDING,
        ),
        "disabled": an_object,
        "between_tools": an_object,
        "adaptive": shape(display=string, block_binding=BLOCK_BINDING),
    },
    is_open=True,
)
UNTYPED_THINKING = shape(display=string, block_binding=BLOCK_BINDING)


def thinking_options(value: Any) -> None:
    """Check the field ``thinking``. Anthropic accepts it without ``type`` if it has ``block_binding``.

    Recorded for claude-fable-5-1 in pydantic-ai's tests, in
    test_anthropic_fable_5_1_drops_a_stale_thinking_block.
    """
    is_untyped = type(value) is dict and "type" not in value and value.get("block_binding") is not None
    (UNTYPED_THINKING if is_untyped else TYPED_THINKING)(value)


OUTPUT_FORMAT = variants({"json_schema": shape({"schema": an_object})})
OUTPUT_CONFIG = shape(
    effort=string,
    format=OUTPUT_FORMAT,
    task_budget=variants({"tokens": shape({"total": integer}, remaining=integer)}, is_open=True),
)


def yes_or_names(value: Any) -> None:
    if not isinstance(value, bool):
        STRINGS(value)


NUMBER = shape({"value": integer})
INPUT_TOKENS = variants({"input_tokens": NUMBER}, is_open=True)
CONTEXT_EDIT = variants(
    {
        "clear_tool_uses_20250919": shape(
            clear_at_least=INPUT_TOKENS,
            clear_tool_inputs=yes_or_names,
            exclude_tools=STRINGS,
            keep=variants({"tool_uses": NUMBER}, is_open=True),
            trigger=variants(dict.fromkeys(("input_tokens", "tool_uses"), NUMBER), is_open=True),
        ),
        "clear_thinking_20251015": shape(
            keep=string_or(variants({"thinking_turns": NUMBER, "all": an_object}, is_open=True))
        ),
        "compact_20260112": shape(instructions=string, pause_after_compaction=boolean, trigger=INPUT_TOKENS),
    },
    is_open=True,
)
FALLBACK = shape(
    {"model": string},
    max_tokens=integer,
    output_config=OUTPUT_CONFIG,
    speed=string,
    thinking=thinking_options,
)
MCP_AT_A_URL = shape(
    {"name": string, "url": string},
    authorization_token=string,
    tool_configuration=shape(allowed_tools=STRINGS, enabled=boolean),
)
MCP_SERVER = variants({"url": MCP_AT_A_URL}, is_open=True)
SKILL = shape({"skill_id": string, "type": one_of("anthropic", "custom")}, version=string)


def request_body(messages: Check, sampling: dict[str, Check]) -> Check:
    """Check a body. ``max_tokens`` is left out, since only one of the two endpoints requires it."""
    return shape(
        {"model": model_name, "messages": messages},
        max_tokens=integer_of_at_least(0),
        system=list_of(variants({"text": TEXT}), or_string=True),
        tools=list_of(tool),
        tool_choice=TOOL_CHOICE,
        thinking=thinking_options,
        output_config=OUTPUT_CONFIG,
        output_format=OUTPUT_FORMAT,
        stop_sequences=list_of(stop_sequence),
        stream=boolean,
        metadata=shape(user_id=string),
        service_tier=one_of("auto", "standard_only"),
        cache_control=CACHE_CONTROL,
        speed=string,
        inference_geo=string,
        container=string_or(shape(id=string, skills=list_of(SKILL))),
        diagnostics=shape(previous_message_id=string),
        context_management=shape(edits=list_of(CONTEXT_EDIT)),
        compaction=variants({"summarize": shape(instructions=string)}, is_open=True),
        mcp_servers=list_of(MCP_SERVER),
        fallbacks=list_of(FALLBACK, or_string=True),
        fallback_credit_token=string_or(shape({"token": string}, mode=one_of("strict", "best_effort"))),
        billing_policy=variants({"billing_policy": shape(bill_to=one_of("self", "user_profile"))}),
        **sampling,
    )


REQUEST_BODY = request_body(
    MESSAGES, {"temperature": fraction, "top_p": fraction, "top_k": integer_of_at_least(0)}
)
REQUEST_BODY_2026 = request_body(
    MESSAGES_2026, dict.fromkeys(("temperature", "top_p", "top_k"), not_permitted)
)
