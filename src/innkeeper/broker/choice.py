"""Who answers model calls for all tenants, from the settings."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import SecretStr

from innkeeper.broker import anthropic, openai
from innkeeper.broker.demo import DemoModel
from innkeeper.broker.http_upstream import HttpUpstream
from innkeeper.broker.keys import FixedKey
from innkeeper.broker.problems import ProviderNotSet
from innkeeper.broker.providers import Providers
from innkeeper.broker.upstream import Upstream
from innkeeper.core.uses import ProviderKind, ProviderSpec
from innkeeper.core.uses_reading import provider_of
from innkeeper.settings import Settings

_BUILT_IN = ("anthropic", "openai", "demo")


def platform_upstreams(settings: Settings, providers: Providers) -> list[Upstream]:
    """The platform's providers; the first is the one that the settings name, or the first that they say how to reach.

    Raises ProviderNotSet for one that is named and not there.
    """
    chosen = settings.broker_provider
    more = dict(_more(settings, providers))
    names = [*((chosen,) if chosen in _BUILT_IN else _configured(settings)), *more]
    if chosen is not None and chosen not in names:
        raise ProviderNotSet(f"The provider is `{chosen[:60]}`, but there is none of that name.")
    names = list(dict.fromkeys([*((chosen,) if chosen else ()), *names])) or ["demo"]
    upstreams = [more.get(name) or _built_in(name, settings, providers) for name in names]
    if settings.broker_model and isinstance(upstreams[0], HttpUpstream):
        upstreams[0].default = settings.broker_model
    return upstreams


def platform_specs(settings: Settings) -> dict[str, ProviderSpec]:
    """What the settings say of more providers."""
    return {name: provider_of(said, f"providers.{name}") for name, said in settings.providers.items()}


def _more(settings: Settings, providers: Providers) -> Iterator[tuple[str, Upstream]]:
    for name, spec in platform_specs(settings).items():
        if spec.kind is not ProviderKind.HTTP:
            yield name, providers.upstream(name, spec, None)


def _built_in(name: str, settings: Settings, providers: Providers) -> Upstream:
    match name:
        case "anthropic":
            _require(_has_anthropic(settings), name, "ANTHROPIC_API_KEY")
            return HttpUpstream(
                anthropic.Anthropic(base_url=settings.anthropic_base_url),
                client=providers.client,
                keys=FixedKey(_plain(settings.anthropic_api_key)),
                default=anthropic.DEFAULT_MODEL,
            )
        case "openai":
            _require(_has_openai(settings), name, "OPENAI_API_KEY")
            return HttpUpstream(
                openai.OpenAI(base_url=settings.openai_base_url),
                client=providers.client,
                keys=FixedKey(_plain(settings.openai_api_key)),
                default=openai.DEFAULT_MODEL,
                slashed=_changed(settings, "openai_base_url"),
            )
        case _:
            return DemoModel()


def _configured(settings: Settings) -> list[str]:
    return [
        *(["anthropic"] if _has_anthropic(settings) else []),
        *(["openai"] if _has_openai(settings) else []),
    ]


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
