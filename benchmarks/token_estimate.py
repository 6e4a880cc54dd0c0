"""How far the estimate of a request's tokens is off, measured with tokenizers that are not ours.

    uv run --group dev python -m benchmarks.token_estimate [--json]

For each family and kind of content: the error at p90, in percent of what the tokenizer counts, of first
requests, and of requests after twenty of the same kind were answered, when the running ratio of the model
has learnt. In "all kinds in turn" one model gets all of them. The counts are multiplied with a factor that
our rates know nothing of, since nobody has published the tokenizers of today's models. The texts come with
Python and with installed packages; the rates of text_tokens.py were fitted to others.
"""

from __future__ import annotations

import argparse
import base64
import importlib.metadata
import inspect
import json
import random
import re
import statistics
import struct
from pathlib import Path
from pydoc_data.topics import topics
from typing import TYPE_CHECKING, Any, NamedTuple

import django
import orjson

from gateway.dialects.anthropic.messages import parse_messages_request
from gateway.routing.token_ratios import TokenRatios
from gateway.routing.upstream_model import upstream_model
from gateway.translation.request.request import TranslationOptions, translate_request
from gateway.translation.signature_families import SignatureCache
from tests.vocabularies import real_tokenizers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.routing.upstream_model import Family, UpstreamModel
    from proxy_site.emulator.pretend_model.tokenizer import Tokenizer

CACHE = Path(".pytest_cache/d/vocabularies")
MODELS: dict[Family, str] = {"claude": "claude-sonnet-4-6", "gemini": "gemini-3-pro-high"}
CLAUDE_FACTOR, GEMINI_FACTOR = 1.12, 0.92
LEARNT_FROM = 20
MEASURED = 30
MESSAGES = (3, 11)
CHARACTERS = (500, 6_000)
"""The length of a message, in characters."""

Body = dict[str, Any]


class Row(NamedTuple):
    """Errors at p90, in percent."""

    family: str
    kind: str
    first: float
    after_twenty: float


# Texts


def english() -> str:
    """Python's reference manual, from Python's own documentation strings."""
    return "\n".join(topics.values())


def markdown() -> str:
    """The descriptions of installed packages."""
    return "\n".join(sorted(str(facts.get("description", "")) for facts in metadata()))


def metadata() -> list[dict[str, Any]]:
    return [dict(one.metadata.json) for one in importlib.metadata.distributions()]


def translations(language: str) -> str:
    """Translations of Django's messages."""
    page = Path(django.__file__).parent / f"conf/locale/{language}/LC_MESSAGES/django.po"
    quoted = re.findall(r'^msgstr(?:\[\d\])? ((?:".*"\n?)+)', page.read_text("utf-8"), re.MULTILINE)[1:]
    sentences = ["".join(json.loads(line) for line in lines.splitlines()) for lines in quoted]
    return "\n".join(sentence for sentence in sentences if sentence)


def code() -> str:
    return "\n".join(map(inspect.getsource, (argparse, inspect, json.decoder, random, statistics)))


def json_values() -> str:
    """Metadata of installed packages, as JSON."""
    return "\n".join(sorted(json.dumps({**facts, "description": ""}) for facts in metadata()))


def boxes() -> str:
    line = "─" * 24
    top, bottom = f"┌{line}┬{line}┐", f"└{line}┴{line}┘"
    rows = [
        f"│ {name:<22} │ {type(value).__name__:<22} │\n"
        for module in (argparse, json, random, statistics)
        for name, value in vars(module).items()
    ]
    return "".join(f"{top}\n{''.join(rows[at : at + 8])}{bottom}\n" for at in range(0, len(rows), 8))


# Requests


def of_text(text: str) -> Callable[[random.Random], Body]:
    """A conversation made of pieces of a text."""

    def piece(chance: random.Random) -> str:
        length = min(len(text), chance.randint(*CHARACTERS))
        start = chance.randrange(len(text) - length + 1)
        return text[start : start + length]

    def request(chance: random.Random) -> Body:
        said = [piece(chance) for _ in range(chance.randint(*MESSAGES) // 2 * 2 + 1)]
        roles = ("user", "assistant")
        return {"messages": [{"role": roles[at % 2], "content": one} for at, one in enumerate(said)]}

    return request


def of_images(chance: random.Random) -> Body:
    blocks: list[Body] = [{"type": "text", "text": "What is to be seen here?"}]
    for _ in range(chance.randint(1, 5)):
        size = struct.pack(">II9x", chance.randint(100, 4000), chance.randint(100, 4000))
        data = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + size).decode()
        blocks.append(
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
        )
    return {"messages": [{"role": "user", "content": blocks}]}


def of_tools(chance: random.Random) -> Body:
    """Tools made of the documented functions of some modules."""
    functions = [
        (f"{module.__name__}_{name}".replace(".", "_"), function)
        for module in (random, statistics, base64, inspect, re, json)
        for name, function in inspect.getmembers(module, inspect.isroutine)
        if inspect.getdoc(function) and not name.startswith("_")
    ]
    chosen = chance.sample(functions, chance.randint(5, 40))
    return {"messages": [{"role": "user", "content": "Hello"}], "tools": [_tool(*one) for one in chosen]}


def _tool(name: str, function: Any) -> Body:
    documentation = inspect.getdoc(function) or ""
    try:
        parameters = list(inspect.signature(function).parameters)
    except ValueError:
        parameters = ["value"]
    properties = {one: {"type": "string", "description": documentation[:80]} for one in parameters}
    schema = {"type": "object", "properties": properties, "required": parameters[:1]}
    return {"name": name, "description": documentation, "input_schema": schema}


def kinds() -> dict[str, Callable[[random.Random], Body]]:
    return {
        "English": of_text(english()),
        "Markdown": of_text(markdown()),
        "Russian": of_text(translations("ru")),
        "Chinese": of_text(translations("zh_Hans")),
        "Thai": of_text(translations("th")),
        "German": of_text(translations("de")),
        "Japanese": of_text(translations("ja")),
        "Arabic": of_text(translations("ar")),
        "code": of_text(code()),
        "JSON": of_text(json_values()),
        "boxes": of_text(boxes()),
        "images": of_images,
        "tools": of_tools,
    }


# Errors


class Counts(NamedTuple):
    """Counts of one request: the gateway's before the ratio is applied, and the tokenizer's."""

    estimate: int
    counted: int


def count(body: Body, model: UpstreamModel, tokenizer: Tokenizer) -> Counts:
    request = parse_messages_request({"model": model.listed_id, "max_tokens": 1000, **body})
    translated = translate_request(request, model, TranslationOptions(), SignatureCache())
    return Counts(translated.input_token_estimate, tokenizer.count_prompt(translated.request))


def error(counts: Counts, ratio: float) -> float:
    """The error in percent."""
    return 100 * abs(counts.estimate * ratio - counts.counted) / counts.counted


def errors_while_learning(answers: list[Counts]) -> list[float]:
    ratios = TokenRatios()
    found = []
    for counts in answers:
        found.append(error(counts, ratios.of("model")))
        ratios.learn("model", *counts)
    return found


def measure(cache: Path) -> list[Row]:
    tokenizers = real_tokenizers(cache, claude_factor=CLAUDE_FACTOR, gemini_factor=GEMINI_FACTOR)
    return [
        row
        for family, model_id in MODELS.items()
        for row in _measure_family(
            family, upstream_model(model_id, header_mode="antigravity"), tokenizers[family]
        )
    ]


def _measure_family(family: Family, model: UpstreamModel, tokenizer: Tokenizer) -> Iterator[Row]:
    answers = {}
    for kind, request in kinds().items():
        chance = random.Random(kind)
        answers[kind] = [count(request(chance), model, tokenizer) for _ in range(LEARNT_FROM + MEASURED)]
    answers["all kinds in turn"] = [one for turn in zip(*answers.values(), strict=True) for one in turn]
    for kind, counted in answers.items():
        first = [error(counts, 1.0) for counts in counted]
        yield Row(family, kind, _p90(first), _p90(errors_while_learning(counted)[LEARNT_FROM:]))


def _p90(values: list[float]) -> float:
    return round(statistics.quantiles(values, n=10)[-1], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    rows = measure(CACHE.resolve())
    if arguments.json:
        print(orjson.dumps([row._asdict() for row in rows], option=orjson.OPT_INDENT_2).decode())
        return
    print(table(rows))


def table(rows: list[Row]) -> str:
    """Print the table, in the form of docs/translation.md."""
    lines = [
        "| kind | Claude, first | after twenty | Gemini, first | after twenty |",
        "| --- | --- | --- | --- | --- |",
    ]
    gemini = {row.kind: row for row in rows if row.family == "gemini"}
    for row in rows:
        if row.family == "claude":
            other = gemini[row.kind]
            figures = (row.first, row.after_twenty, other.first, other.after_twenty)
            lines.append(f"| {row.kind} | " + " | ".join(f"{one:.0f} %" for one in figures) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
