"""The fields that Google knows, with their types, and readers that check JSON against them.

Google's front end maps JSON to protocol buffers before any method sees it, and refuses what does not fit: an
unknown name, a number instead of a string, a list instead of one value. Names may be camelCase or snake_case;
readers return camelCase. ``null`` counts as absent.

A reader takes a JSON value and its path, and returns the value or raises ``GoogleError``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from proxy_site.emulator.google_errors import GoogleError, Json, invalid_argument

# Protocol buffers nest a hundred messages deep; a struct is some levels deep already.
MAX_STRUCT_DEPTH = 90

Reader = Callable[[Any, str], Any]

_TYPES = "type.googleapis.com/google.internal.cloud.code.v1internal."


def unknown_name(name: str, at: str, reason: str = "Cannot find field.") -> GoogleError:
    place = f" at '{at}'" if at else ""
    message = f'Invalid JSON payload received. Unknown name "{name}"{place}: {reason}'
    return invalid_argument(message, at or name)


def invalid_value(at: str, type_name: str, value: Any) -> GoogleError:
    shown = f'"{value}"' if isinstance(value, str) else repr(value)[:80]
    return invalid_argument(f"Invalid value at '{at}' ({type_name}), {shown}", at)


# Single values


def string(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise _wrong(value, at, "TYPE_STRING")
    return value


def boolean(value: Any, at: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(value, at, "TYPE_BOOL")
    return value


def integer(value: Any, at: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise _wrong(value, at, "TYPE_INT32")
    if not -(2**31) <= value < 2**31:
        raise _wrong(value, at, "TYPE_INT32")
    return int(value)


def number(value: Any, at: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(value, at, "TYPE_FLOAT")
    return value


def base64_bytes(value: Any, at: str) -> str:
    """Read base64 in the standard or URL-safe alphabet, with or without padding."""
    if not isinstance(value, str):
        raise _wrong(value, at, "TYPE_BYTES")
    padded = value.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        message = f"Invalid value at '{at}' (TYPE_BYTES), Base64 decoding failed for \"{value[:40]}\""
        raise invalid_argument(message, at) from error
    return value


def anything(value: Any, at: str) -> Any:
    return value


def struct(value: Any, at: str) -> Json:
    """Read a google.protobuf.Struct: any JSON object, as deep as protocol buffers allow."""
    if not isinstance(value, dict):
        raise _wrong(value, at, "type.googleapis.com/google.protobuf.Struct")
    _check_depth(value, at, MAX_STRUCT_DEPTH)
    return value


def _check_depth(value: Any, at: str, levels_left: int) -> None:
    if not isinstance(value, (dict, list)):
        return
    if levels_left == 0:
        raise too_deep(at)
    for one in value.values() if isinstance(value, dict) else value:
        _check_depth(one, at, levels_left - 1)


def too_deep(at: str) -> GoogleError:
    return invalid_argument(f"Message too deep. Max recursion depth reached for key '{at}'", at)


def enum(type_name: str, *names: str) -> Reader:
    """Return a reader of names in upper or lower case; the value is upper case."""
    known = frozenset(names)

    def read(value: Any, at: str) -> str:
        if not isinstance(value, str) or value.upper() not in known:
            raise _wrong(value, at, _TYPES + type_name)
        return value.upper()

    return read


def _wrong(value: Any, at: str, type_name: str) -> GoogleError:
    if isinstance(value, list):
        parent, _, name = at.rpartition(".")
        return unknown_name(name, parent, "Proto field is not repeating, cannot start list.")
    return invalid_value(at, type_name, value)


# Composite values


def repeated(read_one: Reader) -> Reader:
    def read(value: Any, at: str) -> list[Any]:
        if not isinstance(value, list):
            parent, _, name = at.rpartition(".")
            raise unknown_name(name, parent, "Proto field is repeating, a list is expected.")
        return [read_one(one, f"{at}[{index}]") for index, one in enumerate(value)]

    return read


def mapping(read_one: Reader) -> Reader:
    """Return a reader of a map field. Google counts its entries in paths: ``properties[0].value``."""

    def read(value: Any, at: str) -> Json:
        if not isinstance(value, dict):
            raise _wrong(value, at, "map")
        return {key: read_one(one, f"{at}[{index}].value") for index, (key, one) in enumerate(value.items())}

    return read


class Message:
    """A reader for an object with known fields. Fields may be added later, for messages that recurse."""

    def __init__(self, type_name: str, /, **fields: Reader) -> None:
        self._type_name = _TYPES + type_name
        self._fields: dict[str, tuple[str, str, Reader]] = {}
        self.add(**fields)

    def add(self, **fields: Reader) -> None:
        for name, reader in fields.items():
            snake = snake_case(name)
            self._fields[name] = self._fields[snake] = (name, snake, reader)

    def __call__(self, value: Any, at: str) -> Json:
        if not isinstance(value, dict):
            raise _wrong(value, at, self._type_name)
        result = {}
        for key, one in value.items():
            field = self._fields.get(key)
            if field is None:
                raise unknown_name(key, at)
            if one is not None:
                name, snake, reader = field
                result[name] = reader(one, f"{at}.{snake}" if at else snake)
        return result


def snake_case(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: "_" + letter.group().lower(), name)


# The messages, innermost first

SCHEMA = Message(
    "Schema",
    type=enum("Type", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT"),
    format=string,
    title=string,
    description=string,
    nullable=boolean,
    enum=repeated(string),
    required=repeated(string),
    propertyOrdering=repeated(string),
)
SCHEMA.add(items=SCHEMA, properties=mapping(SCHEMA))

BLOB = Message("Blob", mimeType=string, data=base64_bytes, displayName=string)
FILE_DATA = Message("FileData", mimeType=string, fileUri=string, displayName=string)
FUNCTION_CALL = Message("FunctionCall", id=string, name=string, args=struct)
FUNCTION_RESPONSE = Message(
    "FunctionResponse",
    id=string,
    name=string,
    response=struct,
    parts=repeated(Message("FunctionResponsePart", inlineData=BLOB, fileData=FILE_DATA)),
)

PART = Message(
    "Part",
    text=string,
    thought=boolean,
    thoughtSignature=base64_bytes,
    inlineData=BLOB,
    fileData=FILE_DATA,
    functionCall=FUNCTION_CALL,
    functionResponse=FUNCTION_RESPONSE,
    executableCode=struct,
    codeExecutionResult=struct,
    videoMetadata=struct,
)
CONTENT = Message("Content", role=string, parts=repeated(PART))

FUNCTION_DECLARATION = Message(
    "FunctionDeclaration",
    name=string,
    description=string,
    parameters=SCHEMA,
    response=SCHEMA,
)
# Google documents more fields for its public API; only these are known to be accepted here.
GOOGLE_SEARCH = Message(
    "GoogleSearch",
    enhancedContent=Message(
        "EnhancedContent", imageSearch=Message("EnhancedContent.ImageSearch", maxResultCount=integer)
    ),
)
TOOL = Message(
    "Tool",
    functionDeclarations=repeated(FUNCTION_DECLARATION),
    googleSearch=GOOGLE_SEARCH,
    urlContext=struct,
    codeExecution=struct,
)
TOOL_CONFIG = Message(
    "ToolConfig",
    functionCallingConfig=Message(
        "FunctionCallingConfig",
        mode=enum("FunctionCallingConfig.Mode", "MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"),
        allowedFunctionNames=repeated(string),
    ),
)

THINKING_CONFIG = Message(
    "ThinkingConfig",
    includeThoughts=boolean,
    thinkingBudget=integer,
    thinkingLevel=enum(
        "ThinkingConfig.ThinkingLevel", "THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH"
    ),
)
GENERATION_CONFIG = Message(
    "GenerationConfig",
    maxOutputTokens=integer,
    temperature=number,
    topP=number,
    topK=number,
    seed=integer,
    candidateCount=integer,
    stopSequences=repeated(string),
    presencePenalty=number,
    frequencyPenalty=number,
    responseMimeType=string,
    responseSchema=SCHEMA,
    responseModalities=repeated(string),
    thinkingConfig=THINKING_CONFIG,
    imageConfig=struct,
)
SAFETY_SETTING = Message("SafetySetting", category=string, threshold=string)

GENERATE_REQUEST = Message(
    "GenerateContentRequest",
    contents=repeated(CONTENT),
    systemInstruction=CONTENT,
    tools=repeated(TOOL),
    toolConfig=TOOL_CONFIG,
    generationConfig=GENERATION_CONFIG,
    safetySettings=repeated(SAFETY_SETTING),
    sessionId=string,
    labels=mapping(string),
)

ENVELOPE = Message(
    "GenerateRequest",
    project=string,
    model=string,
    userAgent=string,
    requestType=string,
    requestId=string,
    userPromptId=string,
    enabledCreditTypes=repeated(string),
    request=GENERATE_REQUEST,
)

# The messages of other methods. Enums may be names or numbers here.

CLIENT_METADATA = Message(
    "ClientMetadata",
    ideType=anything,
    platform=anything,
    pluginType=anything,
    ideName=string,
    ideVersion=string,
    pluginVersion=string,
    updateChannel=string,
    duetProject=string,
)
LOAD_CODE_ASSIST = Message(
    "LoadCodeAssistRequest", cloudaicompanionProject=string, metadata=CLIENT_METADATA, mode=anything
)
ONBOARD_USER = Message(
    "OnboardUserRequest", tierId=string, cloudaicompanionProject=string, metadata=CLIENT_METADATA
)
FETCH_AVAILABLE_MODELS = Message("FetchAvailableModelsRequest", project=string)
RETRIEVE_USER_QUOTA = Message("RetrieveUserQuotaRequest", project=string, userAgent=string)
