"""The interface of a kind of account."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from accounts.failures import AccountCheckFailed

if TYPE_CHECKING:
    from accounts.credentials.access_tokens import AccessTokens
    from accounts.kinds.access import Access
    from accounts.models import Account
    from accounts.network import AccountsClient
    from accounts.offers import ModelOffer, WindowOffer
    from accounts.values.switches import Switches


class OutOfUse(AccountCheckFailed):
    """The account cannot be used until a person acts: `state` names the required action, `link` is the page
    for it."""

    def __init__(self, state: Account.State, reason: str, link: str = "") -> None:
        super().__init__(reason)
        self.state, self.link = state, link


class OwnerUnknown(Exception):
    """The provider does not name the owner of a credential. The text continues a sentence about the row."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """The answer of a provider about one account.

    `tier` is "unknown" when it was not asked for or not answered. `offers` are the models by listed id, with
    the remaining quota of each if the provider tells it; `cli_offers` those of Google's header mode cli, by
    the ids sent there.
    `windows` are the limits over several spans, as far as the provider tells them.
    """

    project_id: str
    tier: str
    offers: dict[str, ModelOffer]
    cli_offers: dict[str, ModelOffer] = field(default_factory=dict)
    windows: list[WindowOffer] = field(default_factory=list)


class AccountFacts(Protocol):
    """What a kind reads of an account: of `Account`, or of an account in the pool."""

    @property
    def id(self) -> int: ...
    @property
    def project_id(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def switches(self) -> Switches: ...


class Kind(ABC):
    """The interface of a kind: one subclass for each, with a row in accounts/kinds/registry.py.

    Methods raise what accounts.inspection.AccountErrors lists, unless they name more.
    """

    title: ClassVar[str]
    """What pages call an account of this kind."""
    noun: ClassVar[str]
    """What the names of its accounts begin with, where no e-mail names them: "Gemini key"."""
    provider: ClassVar[str]
    """Who is asked about an account: "Google"."""
    terms: ClassVar[str]
    """A sentence about what the provider's terms say of such use."""
    notice: ClassVar[str] = ""
    """What must be accepted before an account is used; empty where use is plainly permitted."""
    secret_field: ClassVar[str]
    """The field of the credential that sign-in, import and export fill."""
    has_owner: ClassVar[bool] = False
    """The provider names the owner of a credential by an e-mail address (`find_owner`)."""
    has_project: ClassVar[bool] = False
    """Requests need the account's Cloud project."""
    families: ClassVar[tuple[str, ...]] = ()
    """The families of models that each of its accounts is taken to offer while its list is unknown."""
    quota_mode: ClassVar[str] = ""
    """The second part of the keys of quotas that `inspect` reports; empty when it reports none."""

    def credential(self, secret: str) -> dict[str, str]:
        """The credential's fields, as Account stores them."""
        return {self.secret_field: secret}

    @abstractmethod
    async def access(self, tokens: AccessTokens, account: AccountFacts, *, renewed: bool = False) -> Access:
        """The access that a request needs now; with `renewed`, a new one from the provider if it issues
        them."""

    def forget(self, tokens: AccessTokens, account_id: int, refused: Access) -> None:  # noqa: B027
        """Drop an access that the provider has refused, unless it has been replaced since. A key is all there
        is: nothing to drop."""

    @abstractmethod
    async def inspect(self, client: AccountsClient, access: Access, *, with_tier: bool) -> Inspection:
        """Ask for models, quotas and, `with_tier`, the tier, without a call that costs anything.

        Raises AccountCheckFailed, and OutOfUse for an account that cannot be used as it is.
        """

    async def try_a_model(  # noqa: B027
        self, client: AccountsClient, access: Access, inspection: Inspection
    ) -> None:
        """Make the smallest model call where the inspection does not show that the account is served. Errors
        for want of quota or capacity pass: the account was accepted.

        Raises AccountCheckFailed or OutOfUse.
        """

    async def find_owner(self, client: AccountsClient, secret: str) -> tuple[str, str]:
        """The e-mail address of a secret from a file, and the secret, which may have been replaced.

        Raises OwnerUnknown.
        """
        raise OwnerUnknown(f"{self.provider} names no owner of a {self.noun}.")
