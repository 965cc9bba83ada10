"""What goes wrong where somebody says who they are: outwards one sentence; the reason is for the log and the audit.

None of these tells a stranger which part of a credential was wrong. `reason` does; it holds no secret, and nothing of
what was sent but what is known to be harmless.
"""

from __future__ import annotations

from innkeeper.core.errors import Invalid, Kind, Problem, Unauthenticated


class PasswordInvalid(Invalid):
    """A password that is to be set doesn't keep the rules."""

    code = "invalid_password"
    default_hint = "Use 12 to 256 characters, of any kind."


class TokenRefused(Unauthenticated):
    """A token of the outside issuer isn't valid here; told like any other credential that isn't."""

    def __init__(self, reason: str) -> None:
        super().__init__("The token isn't valid.")
        self.reason = reason


class SignInFailed(Problem):
    """Somebody came back from the identity provider without proof of who they are."""

    code = "sign_in_failed"
    kind = Kind.UNAUTHENTICATED
    default_hint = "Begin again. Operators: the log and the audit trail say why."

    def __init__(self, reason: str) -> None:
        super().__init__("The sign-in failed.")
        self.reason = reason


class IdentityProviderAway(Problem):
    """The identity provider doesn't answer, or not as one."""

    code = "identity_provider_away"
    kind = Kind.UNAVAILABLE
    default_hint = "Try again shortly. Operators: the log says what it answers; other ways to sign in still work."

    def __init__(self, reason: str) -> None:
        super().__init__("The identity provider can't be reached.")
        self.reason = reason
