"""What an operator does to accounts on a page, the same on the dashboard and in the admin. Each action is
written to the audit log."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts import inspection
from accounts.inspection import CheckResult, check_all
from accounts.models import THRESHOLD_RULES, Account
from accounts.operators import audit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

    from django.contrib.auth.models import AnonymousUser, User

    Operator = User | AnonymousUser

WORKS = "works"


def verify(who: Operator, accounts: Iterable[Account]) -> list[CheckResult]:
    """Check the accounts at their provider, each with a new access."""
    return _check(who, list(accounts), inspection.verify, "Checked")


def refresh_quota(who: Operator, accounts: Iterable[Account]) -> list[CheckResult]:
    return _check(who, list(accounts), inspection.refresh_quota, "Refreshed the quota")


def enable(who: Operator, accounts: Iterable[Account]) -> None:
    for account in accounts:
        account.switch_on()
        _save(who, account, "Enabled", "enabled", "state_reason")


def disable(who: Operator, accounts: Iterable[Account]) -> None:
    for account in accounts:
        account.enabled = False
        _save(who, account, "Disabled", "enabled")


def accept_terms(who: Operator, accounts: Iterable[Account]) -> None:
    """Accept the notice about Google's terms, for those of the accounts for which it has not been."""
    for account in accounts:
        if account.terms_accepted_at is None:
            account.terms_accepted_at = timezone.now()
            _save(who, account, "Accepted the notice about Google's terms", "terms_accepted_at")


def set_project(who: Operator, account: Account, project_id: str) -> None:
    """Set the Cloud project; "" has it found again. Raises ValidationError."""
    account.set_project(project_id)
    account.clean_fields(exclude=_all_fields_but("project_id"))
    _save(who, account, "Set the Cloud project", "project_id", *Account.STATE_FIELDS)


def set_thresholds(who: Operator, account: Account, overall: float | None, by_model: object) -> None:
    """Set the account's thresholds; `overall` and the values of `by_model` are fractions from 0 to 0.99.
    Raises ValidationError."""
    account.quota_threshold = overall
    account.clean_fields(exclude=_all_fields_but("quota_threshold"))
    account.model_quota_thresholds = checked_thresholds(by_model)
    _save(who, account, "Set the thresholds", "quota_threshold", "model_quota_thresholds")


def set_budgets(who: Operator, account: Account, day: Decimal | None, month: Decimal | None) -> None:
    """Set the account's budgets in dollars; None removes one. Raises ValidationError."""
    account.budget_day, account.budget_month = day, month
    account.clean_fields(exclude=_all_fields_but("budget_day", "budget_month"))
    _save(who, account, "Set the budgets", "budget_day", "budget_month")


def checked_thresholds(by_model: object) -> dict[str, float]:
    """Return the thresholds of single models, which come from JSON or a form. Raises ValidationError."""
    if not isinstance(by_model, dict):
        raise ValidationError('It must have the form {"model": 0.2}.')
    for model_id, threshold in by_model.items():
        is_number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if not is_number or not math.isfinite(threshold):
            raise ValidationError(f"{model_id}: must be a number from 0 to 0.99.")
        for rule in THRESHOLD_RULES:
            rule(threshold)
    return by_model


def _check(
    who: Operator, accounts: Sequence[Account], check: inspection.Check, what: str
) -> list[CheckResult]:
    results = async_to_sync(check_all)(accounts, check)
    for result, account in zip(results, accounts, strict=True):
        audit.record(who, f"{what}: {result.problem or WORKS}", account)
    return results


def _save(who: Operator, account: Account, what: str, *fields: str) -> None:
    """Save these fields only, because the server may have changed others meanwhile."""
    account.save(update_fields=fields)
    audit.record(who, what, account)


def _all_fields_but(*names: str) -> set[str]:
    fields: Iterable[Any] = Account._meta.fields
    return {field.name for field in fields} - set(names)
