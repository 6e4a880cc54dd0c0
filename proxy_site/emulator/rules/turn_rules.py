"""Checks of the conversation: roles, parts, and which response belongs to which call.

Google checks roles and parts for every model. The rest differs: Claude pairs calls and results by id in the
turn right after, Gemini by name and order, and each has its own signatures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxy_site.emulator.google_errors import Json, invalid_argument
from proxy_site.emulator.rules.tool_rules import check_name

if TYPE_CHECKING:
    from proxy_site.emulator.models import Model

Part = dict[str, Any]

DATA_FIELDS = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
)


@dataclass(frozen=True)
class Turn:
    role: str
    parts: list[Part]

    @property
    def calls(self) -> list[Json]:
        return [part["functionCall"] for part in self.parts if "functionCall" in part]

    @property
    def responses(self) -> list[Json]:
        return [part["functionResponse"] for part in self.parts if "functionResponse" in part]


def merged_turns(contents: list[Json]) -> list[Turn]:
    """Merge neighbours of one role, as Anthropic reads them."""
    turns: list[Turn] = []
    for content in contents:
        if turns and turns[-1].role == content["role"]:
            turns[-1].parts.extend(content["parts"])
        else:
            turns.append(Turn(content["role"], list(content["parts"])))
    return turns


def single_turns(contents: list[Json]) -> list[Turn]:
    return [Turn(content["role"], content["parts"]) for content in contents]


# For every model


def check_contents(request: Json, model: Model) -> None:
    contents = request.get("contents")
    if not contents:
        raise invalid_argument("* GenerateContentRequest.contents: contents is not specified", "contents")
    for index, content in enumerate(contents):
        if content.get("role") not in {"user", "model"}:
            raise invalid_argument("Please use a valid role: user, model.", f"contents[{index}].role")
        _check_parts(content, index, model)
    if "systemInstruction" in request:
        _check_system_instruction(request["systemInstruction"])


def _check_system_instruction(content: Json) -> None:
    parts = content.get("parts")
    if not parts:
        raise invalid_argument("* GenerateContentRequest.system_instruction: parts must not be empty.")
    for part in parts:
        if set(part) != {"text"} or not part["text"]:
            raise invalid_argument("System instruction should contain text parts only, none of them empty.")


def _check_parts(content: Json, index: int, model: Model) -> None:
    at = f"contents[{index}].parts"
    if not content.get("parts"):
        raise invalid_argument(f"* GenerateContentRequest.{at}: contents.parts must not be empty.", at)
    for number, part in enumerate(content["parts"]):
        _check_data(part, f"{at}[{number}]")
        _check_speaker(part, content["role"])
        _check_function_part(part, f"{at}[{number}]", f"messages.{index}.content.{number}", model)
        _check_media(part, f"{at}[{number}]", model)


def _check_data(part: Part, at: str) -> None:
    """Check for exactly one kind of data. An empty text counts only when it has a signature."""
    kinds = [name for name in DATA_FIELDS if name in part]
    if len(kinds) > 1:
        message = f"oneof field 'data' is already set. Cannot set '{kinds[1]}'"
        raise invalid_argument(f"Invalid value at '{at}' (oneof), {message}", at)
    if not kinds or (part.get("text") == "" and "thoughtSignature" not in part):
        message = "required oneof field 'data' must have one initialized field"
        raise invalid_argument(f"* GenerateContentRequest.{at}.data: {message}", at)


def _check_speaker(part: Part, role: str) -> None:
    if role == "user" and ("functionCall" in part or part.get("thought")):
        raise invalid_argument("Please ensure that function calls and thoughts have the role model.")
    if role == "model" and "functionResponse" in part:
        raise invalid_argument("Please ensure that function responses have the role user.")


def _check_function_part(part: Part, at: str, claude_at: str, model: Model) -> None:
    if "functionCall" in part:
        name = part["functionCall"].get("name", "")
        check_name(name, f"{at}.function_call.name", f"{claude_at}.tool_use.name", model)
    if "functionResponse" in part:
        function_response = part["functionResponse"]
        name = function_response.get("name", "")
        check_name(name, f"{at}.function_response.name", f"{claude_at}.tool_result.name", model)
        if "response" not in function_response:
            raise invalid_argument(f"* GenerateContentRequest.{at}.function_response.response: required", at)


def _check_media(part: Part, at: str, model: Model) -> None:
    nested = (part.get("functionResponse") or {}).get("parts") or []
    if nested and not (model.family == "claude" or model.is_gemini_3):
        raise invalid_argument(f"Multimodal function responses are not supported by {model.id}.", at)
    if not all(nested):
        raise invalid_argument(f"* GenerateContentRequest.{at}.function_response.parts: data is required", at)
    for one in [part, *nested]:
        if "inlineData" in one and not all(one["inlineData"].get(name) for name in ("mimeType", "data")):
            raise invalid_argument(
                f"* GenerateContentRequest.{at}.inline_data: mime_type and data required", at
            )
        if "fileData" in one and model.family != "gemini":
            raise invalid_argument(f"File data is not supported by {model.id}.", at)
