"""Addresses of servers that get a key: spellings, and those that never get one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.network import CarefulResolver, addresses_of
from accounts.values.server_addresses import (
    AddressRefused,
    are_here,
    are_near,
    base_address,
    refuse_addresses,
)


@pytest.mark.parametrize(
    ("pasted", "base"),
    [
        ("https://openrouter.ai/api", "https://openrouter.ai/api"),
        (" https://openrouter.ai/api/v1/ \n", "https://openrouter.ai/api"),
        ("https://openrouter.ai/api/v1/messages", "https://openrouter.ai/api"),
        ("https://API.Example.com:443/", "https://api.example.com"),
        ("http://localhost:11434/v1/messages/count_tokens", "http://localhost:11434"),
        ("http://LOCALHOST.:80", "http://localhost"),
        ("http://[::1]:8080/v1", "http://[::1]:8080"),
        ("https://api.deepseek.com/anthropic", "https://api.deepseek.com/anthropic"),
        ("https://openrouter.ai/api/v1/chat/completions", "https://openrouter.ai/api"),
        ('export ANTHROPIC_BASE_URL="http://localhost:11434/"', "http://localhost:11434"),
        ("<http://localhost:11434>", "http://localhost:11434"),
    ],
)
def test_what_people_paste_becomes_one_spelling(pasted: str, base: str) -> None:
    assert base_address(pasted) == base
    assert base_address(base) == base


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "localhost:11434",
        "ftp://example.com",
        "file:///etc/passwd",
        "https://user:secret@example.com",
        "https://@example.com",
        "https://example.com/?key=1",
        "https://example.com/v1?",
        "https://example.com#a",
        "https://exämple.com",
        "https://example.com:99999",
        "https://[::1",
        "http://metadata.google.internal/computeMetadata/v1",
        "http://Metadata.Google.Internal./",
        "https://api.anthropic.com/v1",
        "https://generativelanguage.googleapis.com/v1beta/openai/",
        f"https://example.com/{'a' * 500}",
    ],
)
def test_what_is_no_base_address_is_refused(pasted: str) -> None:
    with pytest.raises(AddressRefused):
        base_address(pasted)


@hypothesis_settings(max_examples=300)
@given(st.text() | st.from_regex(r"https?://[a-z0-9.:\[\]@/?#%-]{0,30}", fullmatch=True))
def test_any_text_becomes_an_address_or_is_refused(text: str) -> None:
    try:
        base = base_address(text)
    except AddressRefused:
        return
    assert base_address(base) == base


NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "::",
    "224.0.0.1",
]


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_never_get_a_key(address: str) -> None:
    with pytest.raises(AddressRefused):
        refuse_addresses("example.com", ["192.0.2.1", address])


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254",
        "http://2852039166",
        "http://0xA9FEA9FE",
        "http://0251.0376.0251.0376",
        "http://169.254.43518",
        "http://[::ffff:a9fe:a9fe]",
        "http://metadata.google.internal",
    ],
)
async def test_no_spelling_of_the_metadata_service_passes(url: str) -> None:
    with pytest.raises(AddressRefused):
        await addresses_of(url)


async def test_addresses_of_this_machine_are_told() -> None:
    found = await addresses_of("http://127.1:11434")

    assert found == {"127.0.0.1"}
    assert are_here(found)
    assert are_near(["10.0.0.1", "::ffff:192.168.1.5", "fd12::1"])
    assert not are_here(["10.0.0.1"])
    assert not are_near(["10.0.0.1", "1.1.1.1"])


async def test_a_name_that_leads_there_is_not_connected_to() -> None:
    """A number is a name to the resolver, as one of DNS would be."""
    with pytest.raises(OSError, match="must never get a key"):
        await CarefulResolver().resolve("2852039166", 80)
