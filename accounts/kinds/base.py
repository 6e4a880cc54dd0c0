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
    """The provider does not name the owner of a credential. The text continues a sentence about the
    account."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A provider's answer about one account.

    `tier` is "unknown" when it was not asked for or not answered. `offers` are the models by listed id, with
    the remaining quota of each if the provider reports it; `cli_offers` those of Google's header mode cli, by
    the ids sent there. `windows` are the limits over several spans, if the provider reports them.
    """

    project_id: str
    tier: str
    offers: dict[str, ModelOffer]
    cli_offers: dict[str, ModelOffer] = field(default_factory=dict)
    windows: list[WindowOffer] = field(default_factory=list)


class AccountFacts(Protocol):
    """The facts that a kind reads of an account; `Account` has them, and so has an account in the pool."""

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
    """The name of this kind of account on pages."""
    noun: ClassVar[str]
    """The noun in the names of its accounts when they have no e-mail address, such as "Gemini key"."""
    provider: ClassVar[str]
    """The company or server that is asked about an account, such as "Google"."""
    terms: ClassVar[str]
    """A sentence on whether the provider's terms permit this use."""
    notice: ClassVar[str] = ""
    """The notice that the operator must accept before an account is used; "" where the use is plainly
    permitted."""
    secret_field: ClassVar[str]
    """The field of the credential that sign-in and import fill and export reads."""
    has_owner: ClassVar[bool] = False
    """True when the provider names the owner of a credential by an e-mail address (`find_owner`)."""
    has_project: ClassVar[bool] = False
    """True when requests need the account's Cloud project."""
    families: ClassVar[tuple[str, ...]] = ()
    """The families of models that an account is assumed to offer while its list is unknown."""
    quota_mode: ClassVar[str] = ""
    """The second part of the keys of quotas that `inspect` reports; "" when it reports none."""

    def credential(self, secret: str) -> dict[str, str]:
        """Return the credential's fields, as Account stores them."""
        return {self.secret_field: secret}

    @abstractmethod
    async def access(self, tokens: AccessTokens, account: AccountFacts, *, renewed: bool = False) -> Access:
        """Return the access for a request; with `renewed`, a new one from the provider if it issues them."""

    def forget(self, tokens: AccessTokens, account_id: int, refused: Access) -> None:  # noqa: B027
        """Drop an access that the provider has refused, unless it has been replaced since. Keys have nothing
        to drop."""

    @abstractmethod
    async def inspect(self, client: AccountsClient, access: Access, *, with_tier: bool) -> Inspection:
        """Ask for models, quotas and, if `with_tier`, the tier, only with calls that cost nothing.

        Raises AccountCheckFailed, and OutOfUse for an account that cannot be used until a person acts.
        """

    async def try_a_model(  # noqa: B027
        self, client: AccountsClient, access: Access, inspection: Inspection
    ) -> None:
        """Make the smallest model call, if the inspection does not show that the provider serves the account.
        A lack of quota or capacity is no error here, since the account was accepted.

        Raises AccountCheckFailed or OutOfUse.
        """

    async def find_owner(self, client: AccountsClient, secret: str) -> tuple[str, str]:
        """Return the e-mail address of the secret's owner, and the secret, which the provider may have
        replaced.

        Raises OwnerUnknown.
        """
        raise OwnerUnknown(f"{self.provider} names no owner of a {self.noun}.")
