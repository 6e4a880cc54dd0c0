from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.pool.labels import short_labels


@pytest.mark.parametrize(
    ("emails", "labels"),
    [
        (["ada@example.com", "grace@example.com"], ["ad…@e…", "gr…@e…"]),
        (
            [f"acct{n}@example.com" for n in range(1, 5)],
            ["ac…1@e…", "ac…2@e…", "ac…3@e…", "ac…4@e…"],
        ),
        (["acct1@example.com", "ada@example.com", "acct2@example.com"], ["ac…1@e…", "ad…@e…", "ac…2@e…"]),
        (["team.a1@example.com", "test-a1@example.com"], ["te…@e… #1", "te…@e… #2"]),
        (["ada@example.com", "ada@example.org"], ["ad…@e… #1", "ad…@e… #2"]),
        (["@", "a@", "Gemini key 1", "Gemini key 2"], ["…@…", "a…@…", "Gemini key 1", "Gemini key 2"]),
        (["same", "same"], ["same #1", "same #2"]),
    ],
)
def test_accounts_that_look_alike_get_labels_that_differ(emails: list[str], labels: list[str]) -> None:
    assert short_labels(dict(enumerate(emails, 1))) == dict(enumerate(labels, 1))


@given(st.dictionaries(st.integers(1), st.text("ab1@.#", max_size=6), max_size=12))
def test_every_account_has_a_label_of_its_own(emails: dict[int, str]) -> None:
    labels = short_labels(emails)

    assert labels.keys() == emails.keys()
    assert len(set(labels.values())) == len(emails)
