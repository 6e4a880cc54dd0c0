"""Keys of Anthropic's API (platform.claude.com/docs/en/api/errors, .../api/models-list)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings

from accounts.failures import FailureKind, UpstreamError
from accounts.kinds.access import Access
from accounts.kinds.base import Inspection
from accounts.kinds.keyed import MOST_MODELS, KeyedKind, model_id, name_of, refusal, tokens
from accounts.offers import ModelOffer
from accounts.values.outside import as_list, as_object, parse_object, word
from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.network import AccountsClient, WholeAnswer

VERSION = "2023-06-01"
"""Of the API, for calls of our own: those of clients name theirs."""
PAGE_SIZE = 1000
MOST_PAGES = 10
LONGEST_LINK = 2000
KINDS_BY_STATUS = {
    401: FailureKind.KEY_REFUSED,
    402: FailureKind.QUOTA,
    403: FailureKind.FORBIDDEN,
    404: FailureKind.NOT_FOUND,
    429: FailureKind.RATE_LIMIT,
    529: FailureKind.CAPACITY,
}
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
    own_prefixes = ("sk-ant-",)

    def access_with(self, credential: Mapping[str, str], base_url: str = "") -> Access:
        return Access(credential[self.secret_field], {"base_url": settings.ANTHROPIC_API_URL})

    def headers(self, access: Access) -> dict[str, str]:
        return {"x-api-key": access.secret, "anthropic-version": VERSION}

    async def inspect(self, client: AccountsClient, access: Access, *, with_tier: bool) -> Inspection:
        """List the models. What is left is told in the headers of model calls only."""
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
    """The models of one page, without retired ones."""
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


def _refusal(answer: WholeAnswer, secret: str) -> Exception:
    error = as_object(parse_object(answer.content).get("error"))
    details = as_object(error.get("details"))
    said = truncate(str(error.get("message") or ""), 300)
    kind = KINDS_BY_STATUS.get(answer.status, FailureKind.BAD_REQUEST)
    if answer.status >= 500 and kind is not FailureKind.CAPACITY:
        kind = FailureKind.SERVER_ERROR
    if details.get("error_code") == "organization_on_hold":
        kind = FailureKind.DISABLED
    sentence = SENTENCES.get(kind) or f"Anthropic answers {answer.status}" + (f": {said}" if said else ".")
    link = _appeal_page(details.get("appeal_url"))
    return refusal(UpstreamError(kind, answer.status, said, {}, link=link), sentence, secret)


def _appeal_page(value: Any) -> str:
    """The page, if it is one of Anthropic's."""
    url = word(value, LONGEST_LINK) or ""
    parts = urlsplit(url)
    host = parts.hostname or ""
    is_theirs = host in {"anthropic.com", "claude.com"} or host.endswith((".anthropic.com", ".claude.com"))
    return url if parts.scheme == "https" and is_theirs else ""
