"""Common code of the kinds whose credential is an API key."""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from accounts.failures import ACCOUNT_POLICIES, AccountCheckFailed, UpstreamError
from accounts.kinds.base import Kind, OutOfUse
from accounts.models import Account
from accounts.network import AccountsClient, CallFailed, WholeAnswer
from accounts.values.outside import NotJson, as_object, parse_json, whole_number, word
from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.credentials.access_tokens import AccessTokens
    from accounts.kinds.access import Access
    from accounts.kinds.base import AccountFacts

LONGEST_KEY = 1000
LONGEST_MODEL_ID = 100
LONGEST_NAME = 200
LONGEST_SENTENCE = 500
MOST_MODELS = 2000
MOST_TOKENS = 2**31
QUOTES = "\"'`\u201c\u201d\u2018\u2019"
AROUND_KEY = re.compile(
    r"\s*(?:export\s+)?(?:[A-Z][A-Z0-9]*_[A-Z0-9_]*(?:KEY|TOKEN)\s*=\s*)?[\"']?"
    r"(?i:(?:authorization|x-api-key|x-goog-api-key)\s*:)?\s*(?i:bearer\s)?"
)
"""What stands before a key in an .env file, a shell or a header."""
VARIABLE = re.compile(r"(?:\$\{?|os\.environ/|env\.)\w+\}?")
NO_KEY_HAS = re.compile(r"[{}<>()\"'`\\]")
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))

SUBSCRIPTION = (
    "That is a token of a Claude subscription. Anthropic does not permit other programs to collect or relay "
    "those (code.claude.com/docs/en/legal-and-compliance). Make an API key at platform.claude.com."
)
FOREIGN: Mapping[str, str] = {
    "sk-ant-oat": SUBSCRIPTION,
    "sk-ant-ort": SUBSCRIPTION,
    "sk-ant-sid": "That is a session of claude.ai, which other programs may not use. Make an API key at "
    "platform.claude.com.",
    "sk-ant-admin": "That is a key of Anthropic's Admin API, which answers no messages. Make an API key at "
    "platform.claude.com.",
    "sk-ant-": "That is a key of Anthropic: the kind for it is anthropic.",
    "sk-or-": "That is a key of OpenRouter: the kind for it is compatible, its address "
    "https://openrouter.ai/api.",
    "sk-": "That is a key of OpenAI or of a server like it. Of those, only such as speak Anthropic's format "
    "can be added, as kind compatible.",
    "AIza": "That is a key of Google: the kind for it is gemini.",
    "auth_tokens/": "That is a token of the Live API, which serves nothing else. Make an API key at "
    "aistudio.google.com.",
    "ya29.": "That is an access token of Google, which ends within the hour. Make an API key at "
    "aistudio.google.com.",
    "1//": "That is a refresh token of Google, which importaccounts takes.",
    **dict.fromkeys(("ghp_", "gho_", "github_pat_"), "That is a credential of GitHub, which no kind takes."),
}
"""Messages for credentials of other kinds or providers, by prefix. The longest prefix that fits decides."""


class KeyUnusable(ValueError):
    """Raised for text that is not a key of this kind. The message is for the operator and never quotes the
    key."""


class KeyedKind(Kind):
    """A kind whose credential is a key that is sent with every request. Keys are never renewed and name no
    owner."""

    secret_field = "api_key"  # noqa: S105  # the name of a field
    own_prefixes: ClassVar[tuple[str, ...]] = ()
    """The prefixes in FOREIGN that keys of this kind do have."""
    name_of_server: ClassVar[str]
    """The name of the server in messages, such as "The Gemini API"."""

    def read_key(self, text: str) -> str:
        """The key without what a clipboard adds. Raises KeyUnusable."""
        text = text.translate(INVISIBLE).strip().strip(QUOTES)
        begins = AROUND_KEY.match(text)
        key = "".join(text[begins.end() if begins else 0 :].split()).rstrip(";,").strip(QUOTES)
        if not key:
            raise KeyUnusable("There is no key.")
        if VARIABLE.fullmatch(key):
            raise KeyUnusable("That is the name of a variable. Give the key that is in it.")
        if key.startswith(("https://", "http://")):
            raise KeyUnusable("That is an address. Give the key that is made there.")
        if len(key) > LONGEST_KEY or word(key, LONGEST_KEY) is None or NO_KEY_HAS.search(key):
            raise KeyUnusable("That is no key: it is too long, or has characters that no key has.")
        if foreign := _foreign(key, self.own_prefixes):
            raise KeyUnusable(foreign)
        return key

    async def access(self, tokens: AccessTokens, account: AccountFacts, *, renewed: bool = False) -> Access:
        return self.access_with(await tokens.credential(account.id), account.base_url)

    @abstractmethod
    def access_with(self, credential: Mapping[str, str], base_url: str = "") -> Access:
        """Return the access for a credential, stored or not. Its `details` have the "base_url"."""

    async def get(self, client: AccountsClient, access: Access, path: str) -> WholeAnswer:
        """Send a GET to the account's server; a redirect is an error. Raises AccountCheckFailed."""
        return await self._ask(client.get, access, path)

    async def _ask(self, send: Any, access: Access, path: str, **kwargs: Any) -> WholeAnswer:
        """Send a request with the key. A redirect is an error, because its target must not get the key.
        Raises AccountCheckFailed."""
        url = access.details["base_url"] + path
        try:
            answer: WholeAnswer = await send(url, headers=self.headers(access), **kwargs)
        except CallFailed as error:
            raise AccountCheckFailed(f"{self.name_of_server} {error}.") from None
        if 300 <= answer.status < 400:
            raise AccountCheckFailed(
                f"{self.name_of_server} answers with a redirect, which is not followed with a key. Enter the "
                "address that it leads to."
            )
        return answer

    @abstractmethod
    def headers(self, access: Access) -> dict[str, str]:
        """Return the headers that carry the key, and those that each call needs besides."""

    def object_in(self, answer: WholeAnswer) -> dict[str, Any]:
        """Return the JSON object in an answer of status 200. Raises AccountCheckFailed."""
        try:
            content = parse_json(answer.content)
        except NotJson:
            content = None
        if not isinstance(content, dict):
            raise AccountCheckFailed(f"{self.name_of_server} answers, but not with a list of models.")
        return as_object(content)


def _foreign(key: str, own: tuple[str, ...]) -> str:
    fitting = [prefix for prefix in FOREIGN if key.startswith(prefix)]
    longest = max(fitting, key=len, default="")
    return "" if longest in own else FOREIGN.get(longest, "")


def fingerprint(secret: str, base_url: str = "") -> str:
    """Return a hash that recognises the same key at the same address without storing it."""
    return hashlib.sha256(f"{base_url}\n{secret}".encode()).hexdigest()


def refusal(error: UpstreamError, sentence: str, secret: str) -> AccountCheckFailed:
    """Return the exception for an error answer: OutOfUse when the account is refused for good. The key is
    removed from the provider's text."""
    text = truncate(without(secret, sentence), LONGEST_SENTENCE)
    error.message = without(secret, error.message)
    state = ACCOUNT_POLICIES[error.kind].state
    return OutOfUse(Account.State(state), text, error.link) if state else AccountCheckFailed(text, error)


def without(secret: str, text: str) -> str:
    return text.replace(secret, "…") if secret else text


def model_id(value: Any) -> str | None:
    """Return the value when it can be sent and stored as a model's id, else None."""
    return word(value, LONGEST_MODEL_ID)


def name_of(value: Any, otherwise: str) -> str:
    return truncate(value.strip(), LONGEST_NAME) if isinstance(value, str) and value.strip() else otherwise


def tokens(*values: Any) -> int | None:
    """Return the first of the values that is a plausible number of tokens."""
    return next((found for one in values if (found := whole_number(one, 1, MOST_TOKENS))), None)
