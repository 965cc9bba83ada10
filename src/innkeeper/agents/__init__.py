"""The kinds of agent that tenants can run, by name."""

from __future__ import annotations

from collections.abc import Mapping

from innkeeper.agents.custom import Custom
from innkeeper.agents.nanobot import Nanobot
from innkeeper.agents.openclaw import OpenClaw
from innkeeper.agents.zeptoclaw import Zeptoclaw
from innkeeper.core.ports import Agent

_ALL: tuple[Agent, ...] = (OpenClaw(), Nanobot(), Zeptoclaw(), Custom())

AGENTS: Mapping[str, Agent] = {agent.name: agent for agent in _ALL}
"""Every adapter there is; a new one is a file beside this and a name in the tuple above."""
