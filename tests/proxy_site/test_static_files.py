from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.templatetags.static import static

import dashboard

if TYPE_CHECKING:
    from django.test import AsyncClient, Client

PATH = static("dashboard/dashboard.css")
CONTENT = (Path(dashboard.__file__).parent / "static/dashboard/dashboard.css").read_bytes()


@pytest.mark.parametrize(
    ("headers", "status", "content"),
    [
        ({}, 200, CONTENT),
        ({"Range": "bytes=2-11"}, 206, CONTENT[2:12]),
        ({"Range": "bytes=99999999-"}, 416, b""),
    ],
)
def test_a_file_is_a_whole_response(
    client: Client, headers: dict[str, str], status: int, content: bytes
) -> None:
    response = client.get(PATH, headers=headers)

    assert not response.streaming
    assert (response.status_code, response.content) == (status, content)
    assert int(response["content-length"]) == len(content)


def test_head_and_an_unchanged_file_have_no_content(client: Client) -> None:
    head = client.head(PATH)
    unchanged = client.get(PATH, headers={"If-None-Match": head["etag"]})

    assert (head.status_code, head.content, head["content-length"]) == (200, b"", str(len(CONTENT)))
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert client.post(PATH).status_code == 405


async def test_nothing_is_written_about_it_to_the_console(async_client: AsyncClient) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        response = await async_client.get(PATH)

    assert response.content == CONTENT
    assert [str(one.message) for one in caught if "iterators" in str(one.message)] == []
