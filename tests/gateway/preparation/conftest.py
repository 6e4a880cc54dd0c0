from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.dialects.anthropic.messages import MessagesParser
from gateway.ledger.signature_store import StoredSignatures
from gateway.preparation.translator import RequestTranslator
from gateway.preparation.workers import TranslationWorkers
from gateway.routing.token_ratios import TokenRatios

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PARSER = MessagesParser(only_counts=False, version="2023-06-01", betas=frozenset({"some-beta"}))


@pytest.fixture
async def workers() -> AsyncIterator[TranslationWorkers]:
    workers = TranslationWorkers()
    yield workers
    await workers.stop()


@pytest.fixture
def signatures() -> StoredSignatures:
    """In memory alone."""
    return StoredSignatures(lambda tool_use_id, signature: None)


@pytest.fixture
def translator(workers: TranslationWorkers, signatures: StoredSignatures) -> RequestTranslator:
    return RequestTranslator(signatures, TokenRatios(), workers)
