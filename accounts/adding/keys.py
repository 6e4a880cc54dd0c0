"""Accounts whose credential is an API key: from the operator's input to a stored account.

A key is stored only after it has been parsed, compared with the keys of all accounts, and checked at its
provider.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from asgiref.sync import async_to_sync
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.adding.loops import refuse_loop
from accounts.failures import AccountCheckFailed
from accounts.kinds.keyed import KeyUnusable, fingerprint
from accounts.kinds.registry import KEYED
from accounts.models import Account
from accounts.network import AccountsClient, addresses_of
from accounts.values.server_addresses import AddressRefused, are_here, are_near, base_address
from accounts.values.switches import AUTH_STYLES, NoSwitches, checked

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from accounts.kinds.base import Inspection

LONGEST_GROUP = 100
LONGEST_LABEL = 100
MOST_MODELS = 100
TIERS = ("unknown", "free", "paid")
TRIES = 5
"""How many names are tried, since another process may take one first."""
PLAIN_HTTP = "The key and all requests go there unencrypted: use this only in a network that you trust."
SECOND_UNPAID = (
    "{others} {is_are} of the unpaid tier as well. Unpaid keys do not take over for one another, because it "
    "is not plainly permitted to multiply the limits of the unpaid tier: the first one is used, and the "
    "others stand by until you switch it off."
)


class NotAdded(Exception):
    """Raised when a key is not added as an account. The text tells the operator why and does not contain the
    key."""


class KnownKey(NotAdded):
    """Raised when an account with this key exists already."""

    def __init__(self, account: Account) -> None:
        what = "This server" if account.kind == "compatible" else "This key"
        super().__init__(f"{what} is here already: {account}.")
        self.account = account


@dataclass(frozen=True, slots=True)
class GivenKey:
    """What an operator enters or an import file has for a key. `auth` and `models` are only for servers with
    an address."""

    kind: str
    key: str = field(repr=False)
    base_url: str = ""
    auth: str = ""
    models: tuple[str, ...] = ()
    quota_group: str = ""
    tier: str = "unknown"
    label: str = ""
    switches: Mapping[str, Any] = field(default_factory=dict)
    """The switches of an account of kind "compatible" (accounts/values/switches.py)."""


@dataclass(frozen=True, slots=True)
class Added:
    account: Account
    models: int | None
    """The number of models that the key can use; None when the key was not checked."""
    remarks: list[str]


def add(
    given: GivenKey, *, replaced: Account | None = None, unchecked: bool = False, off_reason: str = ""
) -> Added:
    """Store the key as a new account, or as the credential of `replaced`. `unchecked` skips the check at the
    provider, but not the check of the address. `off_reason` switches the account off.

    Raises NotAdded.
    """
    account = draft(given, replaced)
    if off_reason:
        account.enabled, account.state_reason = False, off_reason
    inspection, remarks = async_to_sync(_check)(account, unchecked=unchecked)
    store(account, inspection)
    models = None if inspection is None else len(inspection.offers)
    return Added(account, models, remarks + remarks_on(account))


def draft(given: GivenKey, replaced: Account | None = None) -> Account:
    """Return the account as it would be stored. Raises NotAdded."""
    kind = KEYED[given.kind]
    if replaced is not None and replaced.kind != given.kind:
        raise NotAdded(f"{replaced.name} is no {kind.title}.")
    try:
        key = kind.read_key(given.key)
        base_url = _base_url(given, replaced)
    except (KeyUnusable, AddressRefused) as error:
        raise NotAdded(str(error)) from None
    account = replaced or Account(kind=given.kind)
    if account.base_url != base_url:
        account.base_url, account.learned_switches = base_url, {}
    account.given_switches = _switches(given) or account.given_switches
    account.credential = {**kind.credential(key), **_further(given)}
    account.fingerprint = fingerprint(key, base_url)
    _refuse_known(account)
    account.tier = given.tier if given.tier in TIERS[1:] else account.tier
    account.quota_group = _text(given.quota_group, LONGEST_GROUP) or account.quota_group
    account.label = _text(given.label, LONGEST_LABEL) or account.label
    return account


def _base_url(given: GivenKey, replaced: Account | None) -> str:
    if given.kind != "compatible":
        return ""
    return base_address(given.base_url or (replaced.base_url if replaced else ""))


def _further(given: GivenKey) -> dict[str, str]:
    """Return the fields of the credential that only servers with an address have. Raises NotAdded."""
    if given.kind != "compatible":
        return {}
    if given.auth and given.auth not in AUTH_STYLES:
        raise NotAdded(f"The style of the key must be one of {', '.join(AUTH_STYLES)}.")
    names = [name for text in given.models if (name := text.strip())]
    if len(names) > MOST_MODELS or not all(name.isprintable() and len(name) <= 100 for name in names):
        raise NotAdded(f"At most {MOST_MODELS} models can be named, each with at most 100 characters.")
    return {"auth": given.auth or "bearer", "models": "\n".join(names)}


def _switches(given: GivenKey) -> dict[str, Any]:
    """Return the checked switches; none unless the kind is "compatible". Raises NotAdded."""
    try:
        return checked(given.switches) if given.kind == "compatible" else {}
    except NoSwitches as error:
        raise NotAdded(f"Switches: {error}") from None


def _text(text: str, longest: int) -> str:
    """Return the text without surrounding whitespace. Raises NotAdded when it is too long or not
    printable."""
    text = text.strip()
    if len(text) > longest or not text.isprintable():
        raise NotAdded(f"A name must be a line of at most {longest} characters.")
    return text


def _refuse_known(account: Account) -> None:
    others = Account.objects.exclude(pk=account.pk)
    known = others.filter(fingerprint=account.fingerprint).first()
    if known is not None:
        raise KnownKey(known)


# The check


async def _check(account: Account, *, unchecked: bool) -> tuple[Inspection | None, list[str]]:
    """Return the inspection (None when `unchecked`) and remarks on the address. Raises NotAdded."""
    client = AccountsClient()
    try:
        remarks = await _check_address(client, account.base_url) if account.base_url else []
        if unchecked:
            return None, remarks
        kind = KEYED[account.kind]
        access = kind.access_with(account.credential, account.base_url)
        return await kind.inspect(client, access, with_tier=True), remarks
    except (AccountCheckFailed, AddressRefused) as error:
        raise NotAdded(str(error)) from None
    finally:
        await client.close()


async def _check_address(client: AccountsClient, base_url: str) -> list[str]:
    """Check that requests can be sent to the address, and return remarks on it. Raises AddressRefused."""
    is_plain = urlsplit(base_url).scheme == "http"
    try:
        addresses: Collection[str] = await addresses_of(base_url)
    except OSError:
        if is_plain:
            raise AddressRefused("The name in the address is not found.") from None
        addresses = ()  # a proxy may know it
    if is_plain and not are_near(addresses):
        raise AddressRefused("Plain http is for private networks only: the address must begin with https://.")
    await refuse_loop(client, base_url, addresses)
    return [PLAIN_HTTP] if is_plain and not are_here(addresses) else []


# Storing


def store(account: Account, inspection: Inspection | None = None) -> None:
    """Save the account, a new one under the next free name. Keys need no acceptance of terms, so they count
    as accepted."""
    if inspection is not None and inspection.tier != "unknown":
        account.tier = inspection.tier
    account.terms_accepted_at = account.terms_accepted_at or timezone.now()
    account.enter_state(Account.State.OK, account.state_reason if not account.enabled else "")
    if account.given_name:
        account.save(update_fields=REPLACED_FIELDS)
        return
    for _ in range(TRIES):
        if _is_saved(account):
            return
    raise NotAdded("Too many accounts are being added at once. Try again.")


REPLACED_FIELDS = (
    "sealed_credential", "fingerprint", "base_url", "tier", "quota_group", "label", "terms_accepted_at",
    "given_switches", "learned_switches",
    *Account.STATE_FIELDS,
)  # fmt: skip


def _is_saved(account: Account) -> bool:
    """Save the account under the next name. Returns False when another process has taken that name. Raises
    NotAdded."""
    account.given_name = next_name(account.kind)
    try:
        with transaction.atomic():
            account.save()
    except IntegrityError:
        _refuse_known(account)
        return False
    return True


def next_name(kind: str, after: int = 0) -> str:
    """Return the name of the next account of a kind: its noun and a number higher than any in use."""
    noun = KEYED[kind].noun
    names = Account.objects.filter(given_name__startswith=f"{noun} ").values_list("given_name", flat=True)
    numbers = [int(found[1]) for name in names if (found := re.fullmatch(rf"{noun} (\d{{1,9}})", name))]
    return f"{noun} {max([*numbers, after]) + 1}"


def remarks_on(account: Account) -> list[str]:
    """Return what the operator should know about an account that has just been stored."""
    if account.kind != "gemini" or account.tier != "free":
        return []
    others = Account.objects.filter(kind="gemini", tier="free").exclude(pk=account.pk)
    names = [str(one) for one in others]
    if not names:
        return []
    return [SECOND_UNPAID.format(others=", ".join(names), is_are="is" if len(names) == 1 else "are")]
