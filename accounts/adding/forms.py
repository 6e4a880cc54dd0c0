"""The form for a key, the same on the dashboard and in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages

from accounts.adding.keys import LONGEST_GROUP, LONGEST_LABEL, Added, GivenKey, NotAdded, add
from accounts.kinds.registry import KEYED
from accounts.operators import audit
from accounts.values.switches import AUTH_STYLES

if TYPE_CHECKING:
    from django.http import HttpRequest

    from accounts.actions import Operator
    from accounts.models import Account

LONGEST_PASTED_KEY = 4000
UNSPELLED = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}
STYLES = {
    "bearer": "Authorization: Bearer",
    "x-api-key": "x-api-key",
    "both": "both headers",
    "none": "no key is sent",
}
TIERS = (
    ("unknown", "I do not know"),
    ("free", "Unpaid: the key's project has no billing"),
    ("paid", "Paid: the key's project has billing"),
)
FIELDS = ("key", "quota_group", "label", "unchecked")
"""The form's fields for a key, in the order in which they are shown."""
OTHER_FIELDS = {
    "gemini": ("key", "tier", "quota_group", "label", "unchecked"),
    "compatible": ("base_url", "key", "auth", "models", "quota_group", "label", "unchecked"),
}
"""The fields, by kind of account, for the kinds that ask for more than a key."""


class KeyForm(forms.Form):
    base_url = forms.CharField(
        label="Address",
        max_length=500,
        help_text="As Claude Code would have it in ANTHROPIC_BASE_URL.",
        widget=forms.TextInput({**UNSPELLED, "placeholder": "http://127.0.0.1:11434"}),
    )
    key = forms.CharField(
        label="API key",
        max_length=LONGEST_PASTED_KEY,
        strip=False,
        widget=forms.PasswordInput(UNSPELLED),
    )
    tier = forms.ChoiceField(label="Tier", choices=TIERS, initial="unknown", widget=forms.RadioSelect)
    auth = forms.ChoiceField(
        label="How the key is sent", choices=[(style, STYLES[style]) for style in AUTH_STYLES], required=False
    )
    models = forms.CharField(
        label="Models, each on a line",
        max_length=20_000,
        required=False,
        help_text="Only for a server that does not list them, or to use only some.",
        widget=forms.Textarea({**UNSPELLED, "rows": 2}),
    )
    quota_group = forms.CharField(
        label="Quota group",
        max_length=LONGEST_GROUP,
        required=False,
        help_text="The same name for keys of one project or organisation: they share their limits.",
    )
    label = forms.CharField(label="Name", max_length=LONGEST_LABEL, required=False)
    unchecked = forms.BooleanField(
        label="Add it without a check, for example because the server is off", required=False
    )

    def __init__(self, *args: Any, kind: str, account: Account | None = None, **kwargs: Any) -> None:
        """Make the form for a new account, or, with `account`, for another key of that account."""
        super().__init__(*args, **kwargs)
        self._kind, self._account = kind, account
        self.problem = ""
        self.fields = {name: self.fields[name] for name in OTHER_FIELDS.get(kind, FIELDS)}
        if kind == "compatible":
            self.fields["key"].required = False
            self.fields["key"].help_text = "Empty for a server that wants none."
        if account is not None:
            facts = ("base_url", "tier", "quota_group", "label")
            self.initial = {name: getattr(account, name) for name in facts}

    def posted(self, request: HttpRequest) -> Account | None:
        """Add the key that was posted and put messages about the result on the next page. Returns the
        account; None when nothing was posted or the key was not added, and then the form's errors or
        `problem` say why."""
        if request.method != "POST" or not self.is_valid():
            return None
        try:
            added = self._add(request.user)
        except NotAdded as error:
            self.problem = str(error)
            return None
        messages.success(request, _sentence(added))
        for remark in added.remarks:
            messages.warning(request, remark)
        return added.account

    def _add(self, who: Operator) -> Added:
        given = {**self.cleaned_data, "models": tuple(self.cleaned_data.get("models", "").splitlines())}
        unchecked = given.pop("unchecked")
        added = add(GivenKey(self._kind, **given), replaced=self._account, unchecked=unchecked)
        what = "Replaced the key" if self._account else f"Added ({KEYED[self._kind].noun})"
        audit.record(who, what, added.account, audit.CHANGE if self._account else audit.ADDITION)
        return added


def _sentence(added: Added) -> str:
    if added.models is None:
        return f"{added.account}: kept, not checked."
    return f"{added.account}: works, {added.models} models."
