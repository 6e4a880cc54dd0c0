"""Keys of the Gemini API (ai.google.dev/gemini-api/docs/models, .../docs/troubleshooting)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.conf import settings

from accounts.failures import FailureKind, UpstreamError
from accounts.google.gemini_errors import parse_gemini_error
from accounts.kinds.access import Access
from accounts.kinds.base import Inspection
from accounts.kinds.keyed import MOST_MODELS, KeyedKind, model_id, name_of, refusal, tokens
from accounts.offers import ModelOffer
from accounts.values.outside import as_list, as_object, word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.network import AccountsClient, WholeAnswer

PAGE_SIZE = 1000
MOST_PAGES = 10
LONGEST_PAGE_TOKEN = 2000
WITHOUT_CHAT = ("embedding", "-image", "-tts", "-live", "-audio", "aqa", "-robotics", "-computer-use")
"""Parts of the ids of models that generate content but cannot hold a conversation in text."""

REASONS = {
    "SERVICE_DISABLED": "The Gemini API is not enabled in the key's project. Enable it in the Google Cloud "
    "console, or make a key at aistudio.google.com.",
    "BILLING_DISABLED": "The key's project has no billing account any more.",
    "API_KEY_SERVICE_BLOCKED": "The key is restricted to other APIs: allow it the Generative Language API.",
    "API_KEY_HTTP_REFERRER_BLOCKED": "The key is restricted to web pages, so that no server may use it.",
    "API_KEY_IP_ADDRESS_BLOCKED": "The key is restricted to other addresses than this server's.",
}
SENTENCES = {
    FailureKind.KEY_REFUSED: "Google refuses the key: it is wrong, deleted, or reported as leaked.",
    FailureKind.DISABLED: "Google has suspended the project of this key.",
    FailureKind.PLACE_REFUSED: "Google does not offer the Gemini API at this server's address, or not "
    "without billing. The key itself may be right.",
}


class Gemini(KeyedKind):
    title = "Gemini API key"
    noun = "Gemini key"
    provider = "Google"
    name_of_server = "The Gemini API"
    terms = (
        "Permitted. Google uses what is sent with keys of the unpaid tier, and people may read it; who "
        "serves users in the EEA, Switzerland or the UK must use the paid tier."
    )
    families = ("Gemini",)
    own_prefixes = ("AIza",)

    def access_with(self, credential: Mapping[str, str], base_url: str = "") -> Access:
        return Access(credential[self.secret_field], {"base_url": settings.GEMINI_API_URL})

    def headers(self, access: Access) -> dict[str, str]:
        return {"x-goog-api-key": access.secret}

    async def inspect(self, client: AccountsClient, access: Access, *, with_tier: bool) -> Inspection:
        """List the models. A key cannot be used to ask for quotas or the tier."""
        offers: dict[str, ModelOffer] = {}
        page: str | None = ""
        for _ in range(MOST_PAGES):
            query = {"pageSize": PAGE_SIZE, **({"pageToken": page} if page else {})}
            answer = await self.get(client, access, f"/v1beta/models?{urlencode(query)}")
            if answer.status != 200:
                raise _refusal(answer, access.secret)
            content = self.object_in(answer)
            offers |= _offers(as_list(content.get("models")))
            page = word(content.get("nextPageToken"), LONGEST_PAGE_TOKEN)
            if page is None or len(offers) > MOST_MODELS:
                break
        return Inspection("", "unknown", offers)


def _refusal(answer: WholeAnswer, secret: str) -> Exception:
    error = parse_gemini_error(answer.status, answer.content, answer.headers, datetime.now(UTC))
    return refusal(error, _sentence(error), secret)


def _sentence(error: UpstreamError) -> str:
    reason, _, project = error.reason.partition(", ")
    if reason in REASONS:
        return f"{REASONS[reason]} ({project})" if project else REASONS[reason]
    return SENTENCES.get(error.kind) or f"The Gemini API answers {error.status}: {error.message}"


def _offers(models: list[Any]) -> dict[str, ModelOffer]:
    found = (_offer(as_object(model)) for model in models)
    return {offer.id: offer for offer in found if offer is not None}


def _offer(model: dict[str, Any]) -> ModelOffer | None:
    """Return the offer; None for a model that cannot hold a conversation in text, or whose id cannot be
    sent."""
    name = model_id(model.get("name"))
    methods = as_list(model.get("supportedGenerationMethods"))
    if name is None or "generateContent" not in methods or any(part in name for part in WITHOUT_CHAT):
        return None
    sent_id = name.removeprefix("models/")
    return ModelOffer(
        sent_id,
        name_of(model.get("displayName"), sent_id),
        tokens(model.get("inputTokenLimit")),
        tokens(model.get("outputTokenLimit")),
    )
