"""What can go wrong between an agent and its tools."""

from __future__ import annotations

from innkeeper.core.errors import Invalid, Kind, NotFound, Problem


class UnknownTool(NotFound):
    """There is no such tool, or the tenant may not use it: which of the two isn't said."""

    code = "unknown_tool"
    default_hint = "List the tools anew."


class ToolServerUnknown(Invalid):
    """A tenant's spec names a server of tools that the settings don't have."""

    code = "tool_server_unknown"
    default_hint = "The operator should set it in `mcp_servers`, or take the name out of the tenant's `uses.mcp`."


class ToolServerUnreachable(Problem):
    """A server of tools could not be reached, or the connection broke."""

    code = "tool_server_unreachable"
    kind = Kind.UNAVAILABLE
    default_hint = "Try again shortly."


class ToolServerTimeout(Problem):
    """A server of tools took too long."""

    code = "tool_server_timeout"
    kind = Kind.UNAVAILABLE
    default_hint = "The call may have had an effect: look before you make it again."


class ToolServerRefused(Problem):
    """A server of tools didn't take the credential that was put on."""

    code = "tool_server_refused"
    kind = Kind.FAILED
    default_hint = "Check the secret or the integration that the server's headers name."


class ToolServerFault(Problem):
    """A server of tools answered something that is no answer."""

    code = "tool_server_fault"
    kind = Kind.FAILED
    default_hint = "Check the server's address, and that it speaks MCP over streamable HTTP."


class ToolAnswerTooLarge(Problem):
    """A server of tools answered more than can be passed on."""

    code = "tool_answer_too_large"
    kind = Kind.FAILED
    default_hint = "Ask it for less."


class ToolCredentialMissing(Problem):
    """A credential that a server's headers name can't be put on."""

    code = "tool_credential_missing"
    kind = Kind.CONFLICT
    default_hint = "Set the secret, or connect the integration, that the server's headers name."


class ToolSessionOver(Problem):
    """A server of tools has forgotten the session; the next call begins another."""

    code = "tool_session_over"
    kind = Kind.UNAVAILABLE
    default_hint = "Try again."
