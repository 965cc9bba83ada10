"""Which provider answers a call: chosen by the model that it asks for, among those that its tenant may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from innkeeper.broker.callers import Caller
from innkeeper.broker.calls import MODEL_ALIAS, Call
from innkeeper.broker.patterns import matches, plain
from innkeeper.broker.problems import ModelNotAllowed, ModelNotFound, ProtocolUnsupported
from innkeeper.broker.upstream import Answer, Upstream

OwnUpstreams = Callable[[Caller], Mapping[str, Upstream]]
"""A tenant's own providers of models, by name and in their order."""


Patterns = Sequence[str]
Allowed = Callable[[Caller], Patterns]
"""Which models a tenant may ask for, by itself or by its plan; none: all."""


def _said_itself(caller: Caller) -> Patterns:
    return caller.uses.models


def _none(caller: Caller) -> Mapping[str, Upstream]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Line:
    """A provider, and the model that is to answer: all that is known of a call before it is sent."""

    upstream: Upstream
    model: str
    own: bool
    """Whether the provider is the tenant's own."""

    @property
    def name(self) -> str:
        """The provider's."""
        return self.upstream.name

    def answer(self, call: Call) -> AbstractAsyncContextManager[Answer]:
        """Make the call there; see Upstream."""
        return self.upstream.answer(replace(call, request={**call.request, "model": self.model}))


class Switchboard:
    """Connects calls with providers.

    `NAME/MODEL` is the provider of that name. Any other model goes to the first provider whose `models` fit it, else to
    the first that doesn't say what it serves; the tenant's own come before the platform's. `default` is the first
    provider's that has a default model. Of two that fit, only those that speak the call's protocol are asked.
    """

    def __init__(
        self, platform: Sequence[Upstream], own: OwnUpstreams = _none, *, allowed: Allowed = _said_itself
    ) -> None:
        self._platform = platform
        self._own = own
        self._allowed = allowed

    def pick(self, call: Call) -> Line:
        """The line for the call; raises ModelNotFound, ModelNotAllowed, ProtocolUnsupported."""
        upstreams = self._upstreams(call.caller)
        speakers = {name: each for name, each in upstreams.items() if call.endpoint in each.endpoints}
        line = _choose(call.model, speakers)
        if line is None:
            if other := _choose(call.model, upstreams):
                raise ProtocolUnsupported(
                    f"The provider behind this broker ({other[0].name}) doesn't serve {call.endpoint.value[1]}."
                )
            raise ModelNotFound(f"No provider here serves the model {call.model[:200]!r}.")
        line = _permitted(self._allowed(call.caller), call.model, line, speakers)
        if line is None:
            raise ModelNotAllowed(f"This agent may not use the model {call.model[:200]!r}.")
        upstream, model = line
        return Line(upstream=upstream, model=model, own=not any(upstream is each for each in self._platform))

    def models(self, caller: Caller) -> list[tuple[str, str]]:
        """The models that the tenant may ask for by name, each with its provider."""
        upstreams = self._upstreams(caller)
        listed, allowed = [], self._allowed(caller)
        for asked in (MODEL_ALIAS, *_names(upstreams)):
            line = _choose(asked, upstreams)
            if line is not None and (permitted := _permitted(allowed, asked, line, upstreams)):
                listed.append((asked, permitted[0].name))
        return listed

    def _upstreams(self, caller: Caller) -> Mapping[str, Upstream]:
        own = self._own(caller)
        return {**own, **{each.name: each for each in self._platform if each.name not in own}}


_Choice = tuple[Upstream, str]
"""The provider, and the name of the model there."""


def _choose(model: str, upstreams: Mapping[str, Upstream]) -> _Choice | None:
    if model == MODEL_ALIAS:
        return next(((each, each.default) for each in upstreams.values() if each.default), None)
    name, slash, rest = model.partition("/")
    if slash and rest and name in upstreams:
        named = upstreams[name]
        inner = (
            model if named.slashed or matches(named.patterns, model) else named.default if rest == MODEL_ALIAS else rest
        )
        return (named, named.model_for(inner)) if inner else None
    found = next((each for each in upstreams.values() if matches(each.patterns, model)), None)
    found = found or next((each for each in upstreams.values() if not each.patterns), None)
    return (found, found.model_for(model)) if found else None


def _permitted(allowed: Patterns, asked: str, choice: _Choice, upstreams: Mapping[str, Upstream]) -> _Choice | None:
    """The choice, if the tenant may have it; in place of a default that it may not, the first that it is named."""
    if _is_allowed(allowed, asked, choice):
        return choice
    if asked == MODEL_ALIAS:
        for name in plain(allowed):
            other = _choose(name, upstreams)
            if other is not None and _is_allowed(allowed, name, other):
                return other
    return None


def _is_allowed(allowed: Patterns, asked: str, choice: _Choice) -> bool:
    """Judged by what will really answer: by its name, or by its provider's and its name."""
    upstream, model = choice
    names = {model, f"{upstream.name}/{model}"} | ({asked} & {MODEL_ALIAS})
    return not allowed or any(matches(allowed, name) for name in names)


def _names(upstreams: Mapping[str, Upstream]) -> Iterator[str]:
    """Every model that a provider names, in the shortest form that leads to it."""
    for upstream in upstreams.values():
        for model in dict.fromkeys((*filter(None, [upstream.default]), *plain(upstream.patterns))):
            short = _choose(model, upstreams)
            yield model if short is not None and short[0] is upstream else f"{upstream.name}/{model}"
