"""Keys of Anthropic's API (platform.claude.com/docs/en/api/errors, .../api/models-list)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.conf import settings

from accounts.anthropic.errors import parse_anthropic_error
from accounts.failures import FailureKind
from accounts.kinds.access import Access
from accounts.kinds.base import Inspection
from accounts.kinds.keyed import MOST_MODELS, KeyedKind, model_id, name_of, refusal, tokens
from accounts.offers import ModelOffer
from accounts.values.outside import as_list, as_object, word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.failures import AccountCheckFailed
    from accounts.network import AccountsClient, WholeAnswer

VERSION = "2023-06-01"
"""The API's version for the gateway's own calls; clients name theirs in their requests."""
PAGE_SIZE = 1000
MOST_PAGES = 10
SENTENCES = {
    FailureKind.KEY_REFUSED: "Anthropic refuses the key: it is wrong, or was disabled or deleted.",
    FailureKind.DISABLED: "Anthropic has put the organisation of this key on hold.",
}


class Anthropic(KeyedKind):
    title = "Anthropic API key"
    noun = "Anthropic key"
    provider = "Anthropic"
    name_of_server = "Anthropic"
    terms = (
        "Permitted: an organisation may use its own keys through a gateway of its own. Tokens of a Claude "
        "subscription may not be used so."
    )
    families = ("Claude",)
    own_prefixes = ("sk-ant-",)

    def access_with(self, credential: Mapping[str, str], base_url: str = "") -> Access:
        return Access(credential[self.secret_field], {"base_url": settings.ANTHROPIC_API_URL})

    def headers(self, access: Access) -> dict[str, str]:
        return {"x-api-key": access.secret, "anthropic-version": VERSION}

    async def inspect(self, client: AccountsClient, access: Access, *, with_tier: bool) -> Inspection:
        """List the models. Remaining limits come only in the headers of model calls."""
        offers: dict[str, ModelOffer] = {}
        after: str | None = ""
        for _ in range(MOST_PAGES):
            query = {"limit": PAGE_SIZE, **({"after_id": after} if after else {})}
            answer = await self.get(client, access, f"/v1/models?{urlencode(query)}")
            if answer.status != 200:
                raise _refusal(answer, access.secret)
            content = self.object_in(answer)
            offers |= offers_in(content)
            after = word(content.get("last_id"), 200) if content.get("has_more") is True else None
            if after is None or len(offers) > MOST_MODELS:
                break
        return Inspection("", "paid", offers)


def offers_in(content: dict[str, Any]) -> dict[str, ModelOffer]:
    """Return the models on one page of the list, without retired ones."""
    found = (_offer(as_object(model)) for model in as_list(content.get("data")))
    return {offer.id: offer for offer in found if offer is not None}


def _offer(model: dict[str, Any]) -> ModelOffer | None:
    name = model_id(model.get("id"))
    if name is None or model.get("lifecycle") == "retired":
        return None
    return ModelOffer(
        name,
        name_of(model.get("display_name"), name),
        tokens(model.get("max_input_tokens")),
        tokens(model.get("max_tokens")),
    )


def _refusal(answer: WholeAnswer, secret: str) -> AccountCheckFailed:
    error = parse_anthropic_error(answer.status, answer.content, answer.headers, datetime.now(UTC))
    otherwise = f"Anthropic answers {error.status}: {error.message}"
    return refusal(error, SENTENCES.get(error.kind, otherwise), secret)
