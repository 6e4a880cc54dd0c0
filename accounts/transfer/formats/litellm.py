"""LiteLLM's `config.yaml`: a list of models, each with its provider's key.

model_list:
  - model_name: sonnet
    litellm_params:
      model: anthropic/claude-sonnet-4-6
      api_key: os.environ/ANTHROPIC_API_KEY

One account is made of all models with the same key. A `model_name` is what clients ask for; of several models
with one name, which LiteLLM uses in turn, the first that can be imported counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from accounts.transfer.key_rows import of_openai, row_of_key, skipped
from accounts.values.outside import as_object

if TYPE_CHECKING:
    from accounts.transfer.key_rows import Rows
    from accounts.transfer.rows import Entry, ImportedRow

DEFAULT_KEYS = {"gemini": "os.environ/GEMINI_API_KEY", "anthropic": "os.environ/ANTHROPIC_API_KEY"}
SPEAKING_OPENAI = {
    "openai",
    "azure",
    "groq",
    "ollama",
    "ollama_chat",
    "mistral",
    "deepseek",
    "xai",
    "together_ai",
}


def read_config(content: Entry) -> Rows | None:
    models = content.get("model_list")
    if not isinstance(models, list):
        return None
    found: dict[tuple[str, str, str], _Models] = {}
    named: set[str] = set()
    for number, value in enumerate(models, 1):
        entry = as_object(value)
        parameters = as_object(entry.get("litellm_params"))
        provider, name = _provider_and_model(parameters.get("model"))
        key = parameters.get("api_key") or DEFAULT_KEYS.get(provider, "")
        mark = (provider, str(key), str(parameters.get("api_base") or ""))
        models_of_key = found.setdefault(mark, _Models(f"model {number}", parameters))
        models_of_key.ids.append(name)
        clients_name = str(entry.get("model_name") or "")
        if provider in DEFAULT_KEYS and clients_name not in named:
            named.add(clients_name)
            models_of_key.names[clients_name] = name
    return [(of_key.place, _row(*mark, of_key)) for mark, of_key in found.items()]


@dataclass(slots=True)
class _Models:
    """The models of one key."""

    place: str
    parameters: dict[str, Any]
    """The parameters of the first model."""
    ids: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """The model ids, by the names that clients use."""


def _provider_and_model(model: Any) -> tuple[str, str]:
    """Return the provider and the model's name. LiteLLM knows the names of OpenAI and Anthropic without a
    prefix."""
    text = model if isinstance(model, str) else ""
    provider, slash, name = text.partition("/")
    if slash:
        return provider.lower(), name
    return ("anthropic" if text.startswith("claude") else "openai"), text


def _row(provider: str, key: str, base_url: str, models: _Models) -> ImportedRow:
    if provider in DEFAULT_KEYS:
        return row_of_key(
            provider,
            key,
            models.parameters,
            base_url=base_url,
            models=models.ids,
            model_names=models.names,
        )
    return (
        of_openai(provider) if provider in SPEAKING_OPENAI else skipped(provider or "a model without a name")
    )
