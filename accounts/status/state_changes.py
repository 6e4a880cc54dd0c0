"""Changes of an account's state: stored, announced to running servers, and logged once.

Which failure leads to which state: accounts/failures.py for model calls and checks,
accounts/credentials/access_tokens.py for sign-ins that have expired.
"""

from __future__ import annotations

import logging

from django.utils import timezone

from accounts.command_line import manage
from accounts.models import Account, Revision
from accounts.status.required_action import required_action

logger = logging.getLogger(__name__)


def enter_state(account_id: int, state: str, reason: str = "", link: str = "") -> None:
    """Store the state. If several servers and requests find the same, only the first one changes the row,
    bumps Revision and logs it."""
    others = Account.objects.filter(pk=account_id).exclude(state=state)
    is_news = bool(
        others.update(state=state, state_reason=reason, state_link=link, state_since=timezone.now())
    )
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        return
    if not is_news:
        # In state OK the reason is why the account is disabled, which does not depend on Google.
        if state != Account.State.OK and account.state_reason != reason:
            account.enter_state(state, reason, link)
            account.save(update_fields=Account.STATE_FIELDS)
        return
    Revision.bump()
    action = required_action(account)
    if state != Account.State.OK and action is not None:
        what_to_do = f"{action.what_to_do} {manage(action.command)}"
        logger.error("%s is out of use: %s. %s %s", account.name, action.problem, reason, what_to_do)
