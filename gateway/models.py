"""What the operator has decided about model names."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models

from accounts.models import Revision
from gateway.routes import Route, Routes, cycle_through


class ModelRoute(models.Model):
    """One name, and what becomes of it. A running server sees a change within a second."""

    client_name = models.CharField(
        "name",
        max_length=200,
        unique=True,
        help_text="As clients ask for it, or an upstream id.",
    )
    upstream_model = models.CharField(
        "answered by", max_length=200, blank=True, help_text="An upstream id. Empty: chosen by the name."
    )
    fallback = models.CharField(
        max_length=200,
        blank=True,
        help_text="The upstream id that steps in when all accounts are at their limit, if FALLBACK is on. "
        "Empty: chosen by the kind of model. It may have a fallback of its own; three are tried at most.",
    )
    hidden = models.BooleanField(default=False, help_text="Left out of the list of models; still answered.")
    pinned = models.BooleanField(default=False, help_text="Comes first in the list of models.")

    class Meta:
        ordering: ClassVar = ["-pinned", "client_name"]
        verbose_name = "model route"

    def __str__(self) -> str:
        return f"{self.client_name} → {self.upstream_model}" if self.upstream_model else self.client_name

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        Revision.bump()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        deleted = super().delete(*args, **kwargs)
        Revision.bump()
        return deleted

    def clean(self) -> None:
        others = dict(ModelRoute.objects.exclude(pk=self.pk).values_list("client_name", "fallback"))
        if cycle := cycle_through(self.client_name, self.fallback, others):
            raise ValidationError({"fallback": f"These would step in for each other: {' → '.join(cycle)}."})


def read_routes() -> Routes:
    return Routes(
        {
            row.client_name: Route(row.upstream_model, row.fallback, row.hidden, row.pinned)
            for row in ModelRoute.objects.all()
        }
    )
