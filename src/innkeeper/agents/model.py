"""Which model and tools an agent uses: the ones that its environment names, else the broker's.

Innkeeper sets none of these variables, so that no token stands in a container's environment: the agents' config files
hold the broker's values. Where a unit runs without Innkeeper, its `.env` names a model of the operator's own.
"""

from __future__ import annotations

import re

from innkeeper.core.errors import AgentConfigInvalid
from innkeeper.core.ports import Seat

# Prefixed, for agents give meaning to plain names: OpenClaw installs a provider when it sees MODEL_API_KEY.
URL = "INNKEEPER_MODEL_BASE_URL"
KEY = "INNKEEPER_MODEL_API_KEY"
NAME = "INNKEEPER_MODEL_NAME"

TOOLS_URL = "INNKEEPER_TOOLS_URL"
TOOLS_KEY = "INNKEEPER_TOOLS_KEY"
SERVER = "innkeeper"
"""What agents call the broker as a server of tools; it stands before the name of each."""
TOOL_TIMEOUT_S = 130
"""A little longer than the broker waits for a tool, so that its word comes first."""

# What neither a shell nor an agent's own ${…} substitution would touch.
_PLAIN = re.compile(r"[A-Za-z0-9._:/@+~=\[\]-]+")


def broker_values(seat: Seat) -> dict[str, str]:
    """The variables as the broker has them, or AgentConfigInvalid where one holds more than plain characters."""
    values = {URL: f"{seat.broker_url}/v1", KEY: seat.broker_token, NAME: seat.model}
    if has_tools(seat):
        # Not the model's key, which is another's where a unit runs without Innkeeper, and not to be sent here then.
        values |= {TOOLS_URL: f"{seat.broker_url}/mcp", TOOLS_KEY: seat.broker_token}
    for name, value in values.items():
        if not _PLAIN.fullmatch(value):
            raise AgentConfigInvalid(
                f"The value for {name} holds characters that agents' config files can't carry.",
                hint="Choose a model whose id is made of letters, digits and . _ : / -",
            )
    return values


def has_tools(seat: Seat) -> bool:
    """Whether the tenant has servers of tools."""
    return bool(seat.spec.uses.mcp)


def reference(name: str) -> str:
    """How OpenClaw's and nanobot's config files refer to an environment variable."""
    return f"${{{name}}}"
