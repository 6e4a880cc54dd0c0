"""The fields that the Gemini API knows: those of Cloud Code's ``request``, less some and with others."""

from __future__ import annotations

from typing import Any

from proxy_site.emulator.google_errors import GoogleError, Json
from proxy_site.emulator.rules.wire import (
    BLOB,
    FILE_DATA,
    FUNCTION_CALL,
    GENERATION_CONFIG,
    GOOGLE_SEARCH,
    SAFETY_SETTING,
    SCHEMA,
    TOOL_CONFIG,
    Message,
    base64_bytes,
    boolean,
    enum,
    repeated,
    string,
    struct,
    too_deep,
)

_INTERNAL_TYPES = "google.internal.cloud.code.v1internal."
_PUBLIC_TYPES = "google.ai.generativelanguage.v1beta."

# A file inside of a function response is for Vertex only.
FUNCTION_RESPONSE = Message(
    "FunctionResponse",
    id=string,
    name=string,
    response=struct,
    willContinue=boolean,
    scheduling=string,
    parts=repeated(Message("FunctionResponsePart", inlineData=BLOB)),
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
    mediaResolution=struct,
)
CONTENT = Message("Content", role=string, parts=repeated(PART))
FUNCTION_DECLARATION = Message(
    "FunctionDeclaration",
    name=string,
    description=string,
    parameters=SCHEMA,
    parametersJsonSchema=struct,
    response=SCHEMA,
    responseJsonSchema=struct,
    behavior=enum("FunctionDeclaration.Behavior", "UNSPECIFIED", "BLOCKING", "NON_BLOCKING"),
)
TOOL = Message(
    "Tool",
    functionDeclarations=repeated(FUNCTION_DECLARATION),
    googleSearch=GOOGLE_SEARCH,
    urlContext=struct,
    codeExecution=struct,
)
GENERATE_CONTENT = Message(
    "GenerateContentRequest",
    model=string,
    contents=repeated(CONTENT),
    systemInstruction=CONTENT,
    tools=repeated(TOOL),
    toolConfig=TOOL_CONFIG,
    generationConfig=GENERATION_CONFIG,
    safetySettings=repeated(SAFETY_SETTING),
    cachedContent=string,
)
COUNT_TOKENS = Message(
    "CountTokensRequest", contents=repeated(CONTENT), generateContentRequest=GENERATE_CONTENT
)


def read(message: Message, body: Any) -> Json:
    """Read a body into camelCase names. Raises GoogleError in the words of the public API."""
    try:
        parsed: Json = message(body, "")
    except RecursionError as error:
        raise too_deep("contents") from error
    except GoogleError as error:
        raise _in_public(error) from error
    return parsed


def _in_public(error: GoogleError) -> GoogleError:
    inner = error.body["error"]
    message = inner["message"].replace(_INTERNAL_TYPES, _PUBLIC_TYPES)
    return GoogleError(error.status, {"error": {**inner, "message": message}})
