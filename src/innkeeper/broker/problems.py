"""What can go wrong between an agent and its model."""

from __future__ import annotations

from innkeeper.core.errors import Forbidden, Invalid, Kind, NotFound, Problem


class UnknownEndpoint(NotFound):
    """The broker doesn't serve that method and path."""

    code = "unknown_endpoint"
    default_hint = (
        "Use POST /v1/chat/completions, /v1/responses, /v1/embeddings, /v1/messages or /v1/messages/count_tokens, "
        "GET /v1/models, or /http/NAME/PATH."
    )


class ProtocolUnsupported(Invalid):
    """The agent speaks a protocol that the provider behind the broker doesn't."""

    code = "protocol_unsupported"
    default_hint = "Configure the agent for OpenAI chat completions, or ask the operator for another provider."


class ModelNotFound(NotFound):
    """None of the providers that the tenant may use serves that model."""

    code = "model_not_found"
    default_hint = "List the models with GET /v1/models."


class ModelNotAllowed(Forbidden):
    """The model is none of those that the tenant may use."""

    code = "model_not_allowed"
    default_hint = "List the models with GET /v1/models; the operator sets `uses.models`."


class UnknownProvider(NotFound):
    """The tenant has no plain HTTP API of that name."""

    code = "unknown_provider"
    default_hint = "The operator sets `providers`, the tenant its `uses.providers`."


class PathNotAllowed(Forbidden):
    """The path or the method may not be used at that HTTP API."""

    code = "path_not_allowed"
    default_hint = "The provider's `paths` and `methods` say which may."


class TooManyCalls(Problem):
    """A tenant has too many model calls, or too many bytes of them, under way at once."""

    code = "too_many_calls"
    kind = Kind.NOT_READY
    default_hint = "Wait for some of them to end, then try again."
    retry_after_s = 1


class ProviderUnreachable(Problem):
    """The provider could not be reached, or the connection broke."""

    code = "provider_unreachable"
    kind = Kind.UNAVAILABLE
    default_hint = "Try again shortly."


class ProviderTimeout(Problem):
    """The provider was reached, but went silent."""

    code = "provider_timeout"
    kind = Kind.UNAVAILABLE
    default_hint = "Try again shortly."


class ProviderFault(Problem):
    """The provider answered something that is no answer to a model call."""

    code = "provider_fault"
    kind = Kind.FAILED
    default_hint = "The operator should check the provider's base URL."


class ProviderAnswerTooLarge(Problem):
    """The provider answered more than can be passed on; what it did is charged all the same."""

    code = "provider_answer_too_large"
    kind = Kind.FAILED
    default_hint = "Ask for less at once: for fewer embeddings in a call, or for a stream."


class DestinationRefused(Problem):
    """A name leads to an address that the broker doesn't connect to: private, local, or a cloud's metadata."""

    code = "destination_refused"
    kind = Kind.FORBIDDEN
    default_hint = "If it is a server of the operator's own, name it in the setting `private_hosts`."


class KeyUnavailable(Problem):
    """The key that a provider's configuration names can't be had."""

    code = "key_unavailable"
    default_hint = "Set the secret that the provider's `keys` name, with `innkeeper secret set`."


class ProviderNotSet(Invalid):
    """The settings choose a provider, but don't say how to reach it."""

    code = "provider_not_set"
    default_hint = "Set the provider's API key or its base URL, or choose the built-in `demo`."


class BrokerListenFailed(Problem):
    """The broker can't listen on a gateway address."""

    code = "broker_listen_failed"
    kind = Kind.UNAVAILABLE
    default_hint = "Run `innkeeper doctor`: it looks at the tenants' networks."
