"""What a reference points at, also by the judgement of a library."""

from __future__ import annotations

from typing import Any

import pytest
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from gateway.translation.schemas.references import References, name_of
from gateway.translation.schemas.tool_schemas import parameters_schema

DOCUMENT: dict[str, Any] = {
    "$id": "https://example.test/base/schema.json",
    "type": "object",
    "properties": {"a/b": {"$anchor": "slash", "type": "string"}, "m~n": {"type": "integer"}},
    "$defs": {
        "plain": {"title": "plain"},
        "per%cent": {"title": "percent"},
        "sp ace": {"title": "space"},
        "list": {"anyOf": [{"title": "first"}, {"title": "second"}]},
        "yes": True,
        "nested": {
            "$id": "nested/other.json",
            "$anchor": "here",
            "title": "nested",
            "$defs": {"inner": {"$dynamicAnchor": "dynamic", "title": "inner"}},
        },
        "urn": {"$id": "urn:example:thing", "$defs": {"part": {"title": "part"}}},
        "data": {"const": {"$anchor": "not-an-anchor"}},
    },
}
REFS = [
    "#",
    "",
    "schema.json",
    "https://example.test/base/schema.json#",
    "#/$defs/plain",
    "#/%24defs/plain",
    "#/$defs/per%25cent",
    "#/$defs/sp%20ace",
    "#/properties/a~1b",
    "#/properties/m~0n",
    "#slash",
    "#/$defs/list/anyOf/1",
    "#/$defs/yes",
    "nested/other.json",
    "nested/other.json#here",
    "nested/other.json#/$defs/inner",
    "nested/other.json#dynamic",
    "https://example.test/base/nested/other.json#/$defs/inner",
    "urn:example:thing#/$defs/part",
    "#/$defs/nope",
    "#nope",
    "#here",
    "#not-an-anchor",
    "#/$defs/list/anyOf/7",
    "elsewhere.json#/$defs/plain",
    "https://elsewhere.test/",
]


@pytest.mark.parametrize("ref", REFS)
def test_a_reference_points_where_the_library_says(ref: str) -> None:
    resource = DRAFT202012.create_resource(DOCUMENT)
    resolver = Registry().with_resource("", resource).crawl().resolver(DOCUMENT["$id"])
    try:
        expected = resolver.lookup(ref).contents
    except Unresolvable:
        expected = None

    found = References(DOCUMENT).lookup(ref, DOCUMENT["$id"])

    assert (found and found[0]) is expected


@pytest.mark.parametrize(
    "ref",
    [
        "#/$defs/No",
        "#No",
        "No",
        "no.json",
        "https://example.test/x#/y",
        "#/",
        "#//",
        "http://[::1",
        "#/type",
        "%",
    ],
)
def test_an_unresolved_reference_is_an_open_object(ref: str) -> None:
    schema = {"type": "object", "properties": {"v": {"$ref": ref, "description": "a node"}}}

    parameters, _ = parameters_schema(schema, with_placeholders=False)

    assert parameters["properties"]["v"]["type"] == "OBJECT"
    assert parameters["properties"]["v"]["properties"] == {}
    assert parameters["properties"]["v"]["description"].startswith("a node (see ")


@pytest.mark.parametrize(
    "broken",
    [{"properties": None}, {"items": [1]}, {"$defs": 5}, {"$id": 7, "$anchor": []}, {"$id": "http://[x"}],
)
def test_a_malformed_document_still_has_its_targets(broken: dict[str, Any]) -> None:
    references = References({"definitions": {"P": {"$anchor": "p"}}, "allOf": [broken]})

    assert references.lookup("#/definitions/P", "") == ({"$anchor": "p"}, "")
    assert references.lookup("#p", "") == ({"$anchor": "p"}, "")


def test_an_anchor_as_drafts_6_and_7_wrote_it() -> None:
    references = References({"definitions": {"P": {"$id": "#p", "type": "string"}}})

    assert references.lookup("#p", "") == ({"$id": "#p", "type": "string"}, "")


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("#/$defs/Point", "Point"),
        ("#point", "point"),
        ("#/$defs/a%20b", "a b"),
        ("https://example.test/size.json", "size.json"),
        ("size.json#", "size.json"),
        ("#", "the whole schema"),
        ("", "the whole schema"),
    ],
)
def test_a_reference_is_named_by_its_last_step(ref: str, name: str) -> None:
    assert name_of(ref) == name
