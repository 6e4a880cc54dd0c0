"""Servers that use Anthropic's format at an address of their own: Ollama, vLLM, llama.cpp, other gateways.

proxy_site/emulator/compatible/modes.py lists how they differ, with sources.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from accounts.anthropic.compatible_errors import parse_compatible_error, said
from accounts.failures import AccountCheckFailed, FailureKind
from accounts.kinds.access import Access
from accounts.kinds.anthropic import VERSION
from accounts.kinds.base import Inspection
from accounts.kinds.keyed import MOST_MODELS, KeyedKind, model_id, name_of, refusal, tokens
from accounts.network import addresses_of
from accounts.offers import ModelOffer
from accounts.values.outside import as_list, as_object, parse_object
from accounts.values.server_addresses import AddressRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.credentials.access_tokens import AccessTokens
    from accounts.failures import UpstreamError
    from accounts.kinds.base import AccountFacts
    from accounts.network import AccountsClient, WholeAnswer

WITHOUT_LIST = {404, 405, 501}
ONE_WORD = [{"role": "user", "content": "Hello"}]


class Compatible(KeyedKind):
    """The kind for servers with an address. The credential has the key, which may be empty, the `auth` style,
    and the names of `models` for a server that does not list them."""

    title = "Server that speaks Anthropic's format"
    noun = "Compatible server"
    provider = "The server"
    name_of_server = "The server"
    terms = (
        "The terms are those of whoever runs the server. Ollama, vLLM and llama.cpp on a machine of your own "
        "are your own business."
    )
    own_prefixes = ("sk-or-", "sk-", "ghp_", "gho_", "github_pat_")

    def read_key(self, text: str) -> str:
        return super().read_key(text) if text.strip() else ""

    def access_with(self, credential: Mapping[str, str], base_url: str = "") -> Access:
        facts = {name: credential.get(name, "") for name in ("auth", "models")}
        return Access(credential[self.secret_field], {"base_url": base_url, **facts})

    async def access(self, tokens: AccessTokens, account: AccountFacts, *, renewed: bool = False) -> Access:
        access = await super().access(tokens, account, renewed=renewed)
        if not account.switches.auth:
            return access
        return Access(access.secret, {**access.details, "auth": account.switches.auth})

    def headers(self, access: Access) -> dict[str, str]:
        return {**auth_headers(access), "anthropic-version": VERSION}

    async def inspect(self, client: AccountsClient, access: Access, *, with_tier: bool) -> Inspection:
        """List the models. A server without a list is asked to count the tokens of a word; its models are
        those that the operator has named."""
        await _check_address(access.details["base_url"])
        answer = await self.get(client, access, "/v1/models")
        if answer.status in WITHOUT_LIST:
            await self._count_a_word(client, access)
            return Inspection("", "unknown", _named(access))
        if answer.status != 200:
            raise _refusal(answer, access)
        listed = _offers(self.object_in(answer))
        return Inspection("", "unknown", _only_named(listed, access) or _named(access))

    async def _count_a_word(self, client: AccountsClient, access: Access) -> None:
        """Check that the server can count tokens in Anthropic's format. Raises AccountCheckFailed."""
        body = {"model": next(iter(_named(access)), "any"), "messages": ONE_WORD}
        path = "/v1/messages/count_tokens"
        answer = await self._ask(client.post, access, path, data=orjson.dumps(body))
        content = parse_object(answer.content)
        knows_no_model = answer.status in {400, 404} and "model" in said(content).lower()
        if (answer.status == 200 and "input_tokens" in content) or knows_no_model:
            if not _named(access):
                raise AccountCheckFailed("The server does not list its models. Name those that it has.")
            return
        raise _refusal(answer, access)


def auth_headers(access: Access) -> dict[str, str]:
    """Return the headers that carry the key, in the account's style."""
    style, headers = access.details["auth"] or "bearer", {}
    if style in {"bearer", "both"} and access.secret:
        headers["Authorization"] = f"Bearer {access.secret}"
    if style in {"x-api-key", "both"} and access.secret:
        headers["x-api-key"] = access.secret
    return headers


async def _check_address(base_url: str) -> None:
    try:
        await addresses_of(base_url)
    except AddressRefused as error:
        raise AccountCheckFailed(str(error)) from None
    except OSError:
        return  # a proxy may know the name; else the call says that it is not found


def _offers(content: dict[str, Any]) -> dict[str, ModelOffer]:
    """Return the models of a list in Anthropic's or OpenAI's form. Servers have different names for the
    limits."""
    found = (_offer(as_object(model)) for model in as_list(content.get("data"))[:MOST_MODELS])
    return {offer.id: offer for offer in found if offer is not None}


def _offer(model: dict[str, Any]) -> ModelOffer | None:
    name = model_id(model.get("id"))
    if name is None or model.get("lifecycle") == "retired":
        return None
    provider, meta = as_object(model.get("top_provider")), as_object(model.get("meta"))
    limits = ("max_input_tokens", "max_model_len", "context_length", "context_window")
    return ModelOffer(
        name,
        name_of(model.get("display_name") or model.get("name"), name),
        tokens(*(model.get(limit) for limit in limits), meta.get("n_ctx"), meta.get("n_ctx_train")),
        tokens(model.get("max_tokens"), provider.get("max_completion_tokens")),
    )


def _named(access: Access) -> dict[str, ModelOffer]:
    """Return the models that the operator has named."""
    names = [name for name in access.details["models"].split("\n") if name]
    return {name: ModelOffer(name, name, None, None) for name in names}


def _only_named(listed: dict[str, ModelOffer], access: Access) -> dict[str, ModelOffer]:
    """Return the models that the operator has named, with the facts from the list; all listed ones when none
    is named."""
    named = _named(access)
    return {name: listed.get(name, offer) for name, offer in named.items()} or listed


def _refusal(answer: WholeAnswer, access: Access) -> AccountCheckFailed:
    error = parse_compatible_error(answer.status, answer.content, answer.headers, datetime.now(UTC))
    return refusal(error, _sentence(error, access), access.secret)


def _sentence(error: UpstreamError, access: Access) -> str:
    if error.kind is FailureKind.WRONG_ADDRESS:
        return "Nothing there speaks Anthropic's format. The address must be the one for ANTHROPIC_BASE_URL."
    if error.kind is FailureKind.KEY_REFUSED and not access.secret:
        return f"The server wants a key: {error.message}"
    if error.kind is FailureKind.KEY_REFUSED:
        style = access.details["auth"] or "bearer"
        return f"The server refuses the key, which was sent in the style {style}: {error.message}"
    return f"The server answers {error.status}: {error.message}"
