from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from accounts.operators import passwords

if TYPE_CHECKING:
    from django.test import Client


@pytest.fixture
def operator(client: Client, db: None) -> Client:
    client.force_login(passwords.set_password("a long and good one"))
    return client
