from __future__ import annotations

import pytest
from django.test import Client

from accounts.operators import passwords


@pytest.fixture
def operator(client: Client, db: None) -> Client:
    client.force_login(passwords.set_password("a long and good one"))
    return client
