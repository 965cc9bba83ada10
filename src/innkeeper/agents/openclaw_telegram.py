"""OpenClaw's Telegram channel in webhook mode: a listener of its own, on a port and path that the config names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from innkeeper.agents.jsonfile import Tree, value_at
from innkeeper.core.openings import InboxPath, is_path

PATH, PORT = "/telegram-webhook", 8787
"""Where it listens unless told otherwise."""
_ID = "json:update_id"
_ANYWHERE = "0.0.0.0"  # noqa: S104 - within its own network, where only the edge reaches it
"""Unless told otherwise it listens on its loopback."""
_TOKENS = ("botToken", "tokenFile")


def accounts(channel: object) -> Iterator[Mapping[str, Any]]:
    """A channel's accounts, each with what the channel says for all of them."""
    if not isinstance(channel, dict):
        return
    named = channel.get("accounts")
    named = named if isinstance(named, dict) else {}
    common = {name: value for name, value in channel.items() if name != "accounts"}
    if not named or not common.keys().isdisjoint(_TOKENS):
        yield common
    for account in named.values():
        if isinstance(account, dict):
            enabled = common.get("enabled") is not False and account.get("enabled") is not False
            yield {**common, **account, "enabled": enabled}


def telegram_webhooks(config: Tree) -> Sequence[InboxPath]:
    """Where it takes Telegram's updates; nothing where it fetches them itself."""
    found = (_webhook(account) for account in accounts(value_at(config, "channels", "telegram")))
    return tuple(dict.fromkeys(each for each in found if each is not None))


def _webhook(account: Mapping[str, Any]) -> InboxPath | None:
    if account.get("enabled") is False or not account.get("webhookUrl"):
        return None
    path, port = account.get("webhookPath", PATH), account.get("webhookPort", PORT)
    if not isinstance(path, str) or not is_path(path) or type(port) is not int or not 0 < port < 65536:
        return None  # it will say itself what is wrong with that
    return InboxPath(path=path, id=_ID, port=port)


def reachable_telegram(config: Tree) -> dict[str, Any]:
    """What has to be set so that the edge reaches those listeners; nothing where there are none."""
    if not telegram_webhooks(config):
        return {}
    named = value_at(config, "channels", "telegram", "accounts")
    named = named if isinstance(named, dict) else {}
    own = [name for name, account in named.items() if isinstance(account, dict) and "webhookHost" in account]
    theirs = {"accounts": {name: {"webhookHost": _ANYWHERE} for name in own}} if own else {}
    return {"webhookHost": _ANYWHERE, **theirs}
