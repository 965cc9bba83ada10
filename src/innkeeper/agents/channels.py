"""Channels' own credentials, which nobody can put on for the agent: it speaks to the channel's servers itself."""

from __future__ import annotations

from innkeeper.core.references import names_secret


def is_channel_secret(path: tuple[str, ...]) -> bool:
    """`channels.telegram.botToken`, `channels.slack.accounts.work.appToken`: the channel's own, and no model's within
    it."""
    within = path[2:-1]
    return len(path) > 2 and path[0] == "channels" and within[:1] in ((), ("accounts",)) and names_secret(path[-1])
