"""The forms of an account's page: its thresholds, in percent, and its budgets, in dollars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.core.exceptions import ValidationError

from accounts.actions import checked_thresholds, set_budgets, set_thresholds

if TYPE_CHECKING:
    from accounts.actions import Operator
    from accounts.models import Account

MOST_MODELS = 100
LONGEST_LINE = 200


class ThresholdsForm(forms.Form):
    action = "thresholds"
    overall = forms.FloatField(
        label="Spare it from this remaining quota down, in percent",
        required=False,
        min_value=0,
        max_value=99,
        help_text="Empty: the setting GLOBAL_QUOTA_THRESHOLD.",
    )
    by_model = forms.CharField(
        label="Single models, each on a line with its percent",
        required=False,
        max_length=MOST_MODELS * LONGEST_LINE,
        widget=forms.Textarea({"rows": 3, "placeholder": "gemini-3-flash 20", "spellcheck": "false"}),
    )

    @classmethod
    def of(cls, account: Account) -> ThresholdsForm:
        lines = [f"{model} {_percent(value)}" for model, value in account.model_quota_thresholds.items()]
        overall = account.quota_threshold
        initial = {"overall": None if overall is None else _percent(overall), "by_model": "\n".join(lines)}
        return cls(initial=initial)

    def store(self, who: Operator, account: Account) -> None:
        """Store the thresholds of the valid form. Raises ValidationError."""
        set_thresholds(who, account, self.fraction, self.cleaned_data["by_model"])

    @property
    def fraction(self) -> float | None:
        """The overall threshold of the valid form, as a fraction; None for the default."""
        percent: float | None = self.cleaned_data["overall"]
        return None if percent is None else percent / 100

    def clean_by_model(self) -> dict[str, float]:
        lines = [line for line in self.cleaned_data["by_model"].splitlines() if line.strip()]
        if len(lines) > MOST_MODELS:
            raise ValidationError(f"At most {MOST_MODELS} models.")
        return checked_thresholds(dict(map(_model_and_fraction, lines)))


class BudgetsForm(forms.Form):
    action = "budgets"

    day = forms.DecimalField(
        label="At most this a day, in dollars", required=False, min_value=0, max_digits=9, decimal_places=2
    )
    month = forms.DecimalField(
        label="At most this a month, in dollars",
        required=False,
        min_value=0,
        max_digits=9,
        decimal_places=2,
        help_text="Then it cools down until the day or the month ends in the server's time zone. Calls whose "
        "price is not known do not count. Empty: no budget.",
    )

    @classmethod
    def of(cls, account: Account) -> BudgetsForm:
        return cls(initial={"day": account.budget_day, "month": account.budget_month})

    def store(self, who: Operator, account: Account) -> None:
        """Store the budgets of the valid form. Raises ValidationError."""
        set_budgets(who, account, self.cleaned_data["day"], self.cleaned_data["month"])


AccountForm = ThresholdsForm | BudgetsForm
FORMS: dict[str, type[AccountForm]] = {form.action: form for form in (ThresholdsForm, BudgetsForm)}


def _model_and_fraction(line: str) -> tuple[str, float]:
    model, _, percent = line.strip().removesuffix("%").rstrip().rpartition(" ")
    try:
        fraction = float(percent) / 100
    except ValueError:
        fraction = None
    if not model.strip() or fraction is None:
        example = "must be a model and its percent, as in: gemini-3-flash 20"
        raise ValidationError(f"{line.strip()[:100]}: {example}")
    return model.strip(), fraction


def _percent(fraction: float) -> str:
    return f"{fraction * 100:g}"
