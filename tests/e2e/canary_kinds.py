"""The kinds of secrets that there are, each with the places where it has to be.

A new kind is a line of `KINDS` and a value in `Planted.secrets`, put there before or while the product runs.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from tests.support.leaks import Kind

NANOBOT = "file:tenants/a/persistence/.nanobot"
CONTROL_PLANE = "environ:control-plane *"
SPEC = (
    "file:innkeeper.db*",
    "rows:*",
    "inspect:*",
    "environ:agent/*",
    "file:tenants/*/compose.yaml",
    "file:tenants/*/agent.env",
)
"""Where a tenant's `env` is, whatever it says: it is for settings, and `${secret:NAME}` is for secrets."""

ECHO = "echo:*"
"""The answer to whoever sent it just now: for kinds that are kept as a hash, or sealed, and so known to nobody."""

EXPORT = "file:plain.export"
"""An offline copy of the keyring that was made without a passphrase."""

AWKWARD = 'Canary+/"\\&='
"""A beginning that JSON, PHP's JSON and URLs write otherwise."""

SAID = "container-log:crasher"
"""What an agent says is its own, and this one is made to say it; what we keep and show of it isn't."""

KINDS = (
    Kind(name="admin token", at_home=["file:admin-token", SAID]),
    Kind(name="master key", at_home=["file:keyring", EXPORT], binary=True),
    Kind(name="new master key", at_home=["file:keyring", EXPORT], binary=True),
    # Known to nobody as text: that is why whoever sends it may read it once more.
    Kind(name="platform's data key", at_home=[ECHO], binary=True),
    Kind(name="tenant's data key", at_home=[ECHO], binary=True),
    Kind(name="passphrase", at_home=[ECHO]),
    Kind(name="wrong passphrase", at_home=[ECHO]),
    Kind(name="provider key", at_home=[CONTROL_PLANE, SAID]),
    Kind(name="OIDC client secret", at_home=[CONTROL_PLANE]),
    Kind(name="JWT secret", at_home=[CONTROL_PLANE]),
    # `model.env` is read by the agent's shell, which hands it to the agent.
    Kind(name="database password", at_home=[CONTROL_PLANE]),
    Kind(name="broker token", at_home=[f"{NANOBOT}/model.env", "environ:agent/a *", SAID]),
    Kind(name="gateway token", at_home=[f"{NANOBOT}/config.json"]),
    Kind(name="tenant key"),
    Kind(name="API token"),
    Kind(name="session cookie"),
    Kind(name="outside JWT"),
    Kind(name="user's password", at_home=[ECHO]),
    Kind(name="inbox body", at_home=[ECHO]),
    Kind(name="inbox header", at_home=[ECHO]),
    Kind(name="inbox query", at_home=[ECHO]),
    Kind(name="tenant's env", at_home=[*SPEC, ECHO]),
    Kind(name="said by an agent", at_home=[SAID, ECHO]),
    Kind(name="old secret"),
    Kind(name="rotated secret"),
    Kind(name="deleted secret"),
    Kind(name="refused secret", at_home=[ECHO]),
    Kind(name="key in a URL"),
    Kind(name="key in a header"),
    Kind(name="basic credential"),
    Kind(name="platform's provider key"),
    Kind(name="key in the environment", at_home=[CONTROL_PLANE]),
    Kind(name="tool credential"),
    Kind(name="platform's tool credential"),
    Kind(name="bot token", at_home=[f"{NANOBOT}/config.json"]),
    Kind(name="client secret"),
    *(
        Kind(name=f"{token} token, {which}")
        for token in ("access", "refresh")
        for which in ("good first", "good refreshed", "away first", "broken first")
    ),
    *(Kind(name=f"code, {which}", at_home=[ECHO]) for which in ("good", "away", "broken", "refused")),
)


@dataclass
class Planted:
    """One secret of each kind, and what was answered and printed meanwhile."""

    secrets: dict[str, str] = field(default_factory=dict)
    said: dict[str, bytes] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    """Kinds that this installation hasn't got."""

    def new(self, kind: str, *, prefix: str = "Canary.") -> str:
        """A secret that looks like nothing in particular."""
        self.secrets[kind] = f"{prefix}{secrets.token_hex(4)}.{secrets.token_hex(12)}"
        return self.secrets[kind]

    def keep(self, place: str, content: str | bytes) -> None:
        """Something that was said, to be searched later."""
        data = content.encode() if isinstance(content, str) else content
        self.said[place] = self.said.get(place, b"") + data + b"\n"
