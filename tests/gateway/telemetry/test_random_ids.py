from __future__ import annotations

import os
import uuid

from gateway.telemetry.random_ids import random_hex, random_uuid


def test_ids_differ_and_have_their_length() -> None:
    ids = {random_hex(6) for _ in range(10_000)}

    assert len(ids) == 10_000
    assert {len(one) for one in ids} == {12}


def test_a_uuid_is_of_version_four() -> None:
    uuids = {random_uuid() for _ in range(10_000)}

    assert len(uuids) == 10_000
    for one in uuids:
        parsed = uuid.UUID(one)
        assert (str(parsed), parsed.version, parsed.variant) == (one, 4, uuid.RFC_4122)


def test_a_forked_process_has_ids_of_its_own() -> None:
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.write(writes, random_hex(16).encode())
        os._exit(0)

    os.waitpid(child, 0)

    assert os.read(reads, 100).decode() != random_hex(16)
