"""The form of an account's thresholds, in percent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.core.exceptions import ValidationError

from accounts.actions import checked_thresholds

if TYPE_CHECKING:
    from accounts.models import Account

MOST_MODELS = 100
LONGEST_LINE = 200


class ThresholdsForm(forms.Form):
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

    @property
    def fraction(self) -> float | None:
        """The overall threshold of the valid form."""
        percent: float | None = self.cleaned_data["overall"]
        return None if percent is None else percent / 100

    def clean_by_model(self) -> dict[str, float]:
        lines = [line for line in self.cleaned_data["by_model"].splitlines() if line.strip()]
        if len(lines) > MOST_MODELS:
            raise ValidationError(f"At most {MOST_MODELS} models.")
        return checked_thresholds(dict(map(_model_and_fraction, lines)))


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
