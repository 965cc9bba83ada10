"""What the core needs to find out who somebody is: passwords, an outside issuer's tokens, an identity provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from innkeeper.core.identity import Claims, Identity, Pending


class Passwords(Protocol):
    """Keeps passwords as hashes that are slow to guess at. Few run at once, as each takes memory; the others wait."""

    def check(self, password: str, *, mail: str) -> None:
        """Raises PasswordInvalid for one that may not be set."""
        ...

    async def hash(self, password: str) -> str:
        """The hash to be kept, in the PHC string format, which holds its own salt and parameters."""
        ...

    async def verify(self, password: str, phc: str | None) -> bool:
        """Whether it is the password of that hash. None, for a user who isn't there, takes as long and is never."""
        ...

    def outdated(self, phc: str) -> bool:
        """Whether the hash was made with other parameters than today's: make it anew at the next sign-in."""
        ...


class OutsideTokens(Protocol):
    """Tells what the bearer tokens of one outside issuer say. They are taken at their word until they expire, or until
    the issuer withdraws the key (15 minutes at most): what they grant isn't ours to revoke sooner."""

    def known(self, token: str) -> Claims | None:
        """What a token says that was verified a short while ago; never waits. None: ask `verify`."""
        ...

    async def verify(self, token: str) -> Claims:
        """What it says; raises TokenRefused, whatever is wrong. Waits some seconds for the issuer's keys at most."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class SignIn(Protocol):
    """Sends browsers to one identity provider and reads what they bring back."""

    name: str
    """As people know it."""

    async def begin(self, redirect_uri: str) -> tuple[str, Pending]:
        """Where to send the browser, and what to keep for it until it comes back; raises IdentityProviderAway."""
        ...

    async def finish(self, pending: Pending, redirect_uri: str, params: Mapping[str, str]) -> Identity:
        """Who came back with these query parameters. To be called once for a pending sign-in, with the same address as
        `begin`; raises SignInFailed and IdentityProviderAway."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
