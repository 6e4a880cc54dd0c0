"""Checks of function declarations and of the calling mode."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from proxy_site.emulator.google_errors import (
    GoogleError,
    Json,
    claude_invalid_request,
    invalid_argument,
)
from proxy_site.emulator.rules.schema_rules import check_schema

if TYPE_CHECKING:
    from proxy_site.emulator.models import Model

GOOGLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
CLAUDE_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
# Applies to names at the top of the parameters only, not to those of nested objects.
CLAUDE_PROPERTY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")

_NAME_RULE = (
    "Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), "
    "underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64."
)


def check_tools(request: Json, model: Model) -> None:
    tools = request.get("tools") or []
    for index, tool in enumerate(tools):
        _check_one_kind(tool, index)
    declaring = [tool["functionDeclarations"] for tool in tools if "functionDeclarations" in tool]
    if declaring and len(tools) > 1:
        raise invalid_argument("Multiple tools are supported only when they are all search tools.")
    if tools and not declaring and model.family != "gemini":
        raise invalid_argument("Only function declarations are supported as tools for this model.")
    declarations = declaring[0] if declaring else []
    mode = _calling_config(request).get("mode")
    for index, declaration in enumerate(declarations):
        _check_declaration(declaration, index, model, mode)
    _check_duplicates(declarations, model)
    _check_calling_config(request, {declaration["name"] for declaration in declarations})


def declared_functions(request: Json) -> set[str]:
    tools = request.get("tools") or []
    return {one["name"] for tool in tools for one in tool.get("functionDeclarations") or []}


def _calling_config(request: Json) -> Json:
    config = (request.get("toolConfig") or {}).get("functionCallingConfig")
    return config if isinstance(config, dict) else {}


def _check_one_kind(tool: Json, index: int) -> None:
    if not any(kind or kind == {} for kind in tool.values()):
        why = "required one_of 'tool_type' must have one initialized field"
        raise invalid_argument(f"* GenerateContentRequest.tools[{index}].tool_type: {why}", f"tools[{index}]")
    if len(tool) > 1:
        raise invalid_argument("Tool use with function calling is unsupported", f"tools[{index}]")


def _check_declaration(declaration: Json, index: int, model: Model, mode: str | None) -> None:
    at = f"tools[0].function_declarations[{index}]"
    check_name(declaration.get("name", ""), f"{at}.name", f"tools.{index}.custom.name", model)
    parameters = declaration.get("parameters")
    if parameters is None:
        if model.family == "claude":
            raise claude_invalid_request(f"tools.{index}.custom.input_schema: Field required")
        return
    if parameters.get("type") not in {None, "OBJECT"}:
        raise _not_an_object(at, index, model)
    if model.family == "claude":
        _check_property_names(parameters, index)
    needs_properties = model.family == "claude" and mode == "VALIDATED"
    check_schema(parameters, f"{at}.parameters", needs_properties=needs_properties)
    if "response" in declaration:
        check_schema(declaration["response"], f"{at}.response")


def _check_property_names(parameters: Json, index: int) -> None:
    if not all(CLAUDE_PROPERTY.fullmatch(name) for name in parameters.get("properties") or {}):
        where = f"tools.{index}.custom.input_schema.properties"
        raise claude_invalid_request(
            f"{where}: Property keys should match pattern '^[a-zA-Z0-9_.-]{{1,64}}$'"
        )


def _not_an_object(at: str, index: int, model: Model) -> GoogleError:
    if model.family == "claude":
        return claude_invalid_request(f"tools.{index}.custom.input_schema.type: Input should be 'object'")
    why = "parameters schema should be of type OBJECT."
    return invalid_argument(f"* GenerateContentRequest.{at}.parameters: {why}", at)


def check_name(name: str, at: str, claude_at: str, model: Model) -> None:
    """Check a name. Google's rule holds for every model; Claude's is narrower."""
    if not GOOGLE_NAME.fullmatch(name):
        raise invalid_argument(f"* GenerateContentRequest.{at}: {_NAME_RULE}", at)
    if model.family == "claude" and not CLAUDE_NAME.fullmatch(name):
        message = f"{claude_at}: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        raise claude_invalid_request(message)


def _check_duplicates(declarations: list[Json], model: Model) -> None:
    seen: set[str] = set()
    for declaration in declarations:
        name = declaration["name"]
        if name in seen and model.family == "claude":
            raise claude_invalid_request("tools: Tool names must be unique.")
        if name in seen:
            raise invalid_argument(f"Duplicate function declaration found: {name}")
        seen.add(name)


def _check_calling_config(request: Json, declared: set[str]) -> None:
    config = _calling_config(request)
    if config and not declared:
        raise invalid_argument("Function calling config is set without function_declarations.")
    allowed = config.get("allowedFunctionNames")
    if allowed and config.get("mode") not in {"ANY", "VALIDATED"}:
        message = "Allowed function names should only be set when function calling mode is ANY or VALIDATED."
        raise invalid_argument(message, "tool_config.function_calling_config")
    for name in allowed or []:
        if name not in declared:
            raise invalid_argument(f"Allowed function name {name} is not in the function declarations.")
