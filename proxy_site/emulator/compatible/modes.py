"""The features that each kind of compatible server has and lacks.

Facts: ollama's docs/api/anthropic-compatibility.mdx, vllm's docs/serving/integrations/claude_code.md and
vllm-project/vllm#44000, llama.cpp's tools/server/README.md, vercel/ai#17326 (counts, usage), OpenRouter's
quickstart, continuedev/continue#10705 (402).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from proxy_site.emulator.models import Model
from proxy_site.emulator.refusal import Refusal

if TYPE_CHECKING:
    from proxy_site.emulator.refusal import Json

ModeName = Literal["ollama", "vllm", "llamacpp", "openrouter", "gateway"]
ErrorShape = Literal["anthropic", "openai", "llamacpp"]


class CompatibleError(Refusal):
    """An error in the shape of its server."""

    @property
    def message(self) -> str:
        return str(self.body["error"]["message"])


@dataclass(frozen=True)
class Mode:
    """A kind of compatible server. ``credential`` is "any" when it is not checked, "bearer" when it must be
    in Authorization, "either" when it may also be in x-api-key. The strict answers are the defaults; a test
    may ``dataclasses.replace`` them."""

    name: ModeName
    models: tuple[Model, ...]
    credential: Literal["any", "bearer", "either"] = "any"
    error_shape: ErrorShape = "anthropic"
    lists_like_openai: bool = True
    counts_tokens: bool = True
    takes_betas: bool = False
    takes_system_messages: bool = False
    takes_documents: bool = False
    takes_addresses_of_images: bool = True
    has_error_events: bool = True
    signs: bool = False
    tells_of_caching: bool = False
    usage_starts_at_zero: bool = False

    def error(self, status: int, kind: str, message: str, **more: object) -> CompatibleError:
        if self.error_shape == "anthropic":
            return CompatibleError(status, {"type": "error", "error": {"type": kind, "message": message}})
        if self.error_shape == "llamacpp":
            return CompatibleError(
                status, {"error": {"code": status, "message": message, "type": kind, **more}}
            )
        return CompatibleError(status, {"error": {"message": message, "type": kind, "code": status, **more}})

    def model_named(self, name: object) -> Model:
        """Return the model. Raises 404 in the server's words."""
        for model in self.models:
            if model.id == name:
                return model
        raise self.error(404, "not_found_error", f"model '{name}' not found")

    def listed(self) -> Json:
        if not self.lists_like_openai:
            rows = [
                {"type": "model", "id": one.id, "display_name": one.display_name, "created_at": _CREATED}
                for one in self.models
            ]
            ends = {"first_id": self.models[0].id, "last_id": self.models[-1].id}
            return {"data": rows, "has_more": False, **ends}
        owner = {"ollama": "library", "vllm": "vllm", "llamacpp": "llamacpp"}.get(self.name, self.name)
        data = [{"id": one.id, "object": "model", "created": 0, "owned_by": owner} for one in self.models]
        return {"object": "list", "data": data}


_CREATED = "2026-02-17T00:00:00Z"


def _model(id_: str, context: int, output: int) -> Model:
    return Model(id_, id_, context, output, thinking_budgets=(1024, output), takes_prefill=True)


_MODES = (
    Mode(
        "ollama",
        (_model("qwen3-coder:30b", 32_768, 8_192), _model("gpt-oss:120b-cloud", 131_072, 32_768)),
        counts_tokens=False,
        takes_addresses_of_images=False,
        has_error_events=False,
    ),
    Mode("vllm", (_model("qwen3-coder", 65_536, 16_384),), error_shape="openai"),
    Mode("llamacpp", (_model("/models/qwen3.gguf", 16_384, 4_096),), error_shape="llamacpp"),
    Mode(
        "openrouter",
        (
            _model("anthropic/claude-sonnet-4.6", 200_000, 64_000),
            _model("qwen/qwen3-coder", 262_144, 65_536),
        ),
        credential="bearer",
        error_shape="openai",
        counts_tokens=False,
        takes_betas=True,
        takes_system_messages=True,
        takes_documents=True,
        signs=True,
        usage_starts_at_zero=True,
    ),
    Mode(
        "gateway",
        (_model("claude-sonnet-4-6", 200_000, 64_000),),
        credential="either",
        lists_like_openai=False,
        takes_betas=True,
        takes_system_messages=True,
        takes_documents=True,
        signs=True,
        tells_of_caching=True,
    ),
)
MODES: dict[ModeName, Mode] = {mode.name: mode for mode in _MODES}
