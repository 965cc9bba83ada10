"""Chooses who answers model calls, from the settings."""

from __future__ import annotations

from pydantic import SecretStr

from innkeeper.broker import anthropic, openai
from innkeeper.broker.demo import DemoModel
from innkeeper.broker.http_upstream import HttpUpstream
from innkeeper.broker.problems import ProviderNotSet
from innkeeper.broker.upstream import Upstream
from innkeeper.settings import Settings


def upstream_from(settings: Settings) -> Upstream:
    """The provider that the settings name; else the first that has a key or a base URL of its own; else the demo."""
    match settings.broker_provider or _configured(settings):
        case "anthropic":
            _require(_has_anthropic(settings), "anthropic", "ANTHROPIC_API_KEY")
            provider = anthropic.Anthropic(base_url=settings.anthropic_base_url, key=_plain(settings.anthropic_api_key))
            return HttpUpstream(provider, model=settings.broker_model or anthropic.DEFAULT_MODEL)
        case "openai":
            _require(_has_openai(settings), "openai", "OPENAI_API_KEY")
            compatible = openai.OpenAI(base_url=settings.openai_base_url, key=_plain(settings.openai_api_key))
            return HttpUpstream(compatible, model=settings.broker_model or openai.DEFAULT_MODEL)
        case _:
            return DemoModel()


def _configured(settings: Settings) -> str:
    if _has_anthropic(settings):
        return "anthropic"
    return "openai" if _has_openai(settings) else "demo"


def _has_anthropic(settings: Settings) -> bool:
    return bool(_plain(settings.anthropic_api_key)) or _changed(settings, "anthropic_base_url")


def _has_openai(settings: Settings) -> bool:
    return bool(_plain(settings.openai_api_key)) or _changed(settings, "openai_base_url")


def _changed(settings: Settings, field: str) -> bool:
    """A base URL of the operator's own is enough: servers on the operator's own machines may want no key."""
    return bool(getattr(settings, field) != Settings.model_fields[field].default)


def _require(present: bool, provider: str, variable: str) -> None:
    if not present:
        raise ProviderNotSet(f"The provider is `{provider}`, but {variable} isn't set.")


def _plain(key: SecretStr | None) -> str:
    return key.get_secret_value().strip() if key else ""
