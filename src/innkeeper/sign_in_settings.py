"""The options of signing in: an OpenID Connect provider for people, an outside issuer of tokens for programs."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from innkeeper.core.addresses import is_safe
from innkeeper.core.identity import ROLES, TENANT_ROLES

JWT_SECRET_BYTES = 32


class SignInSettings(BaseSettings):
    """The settings' group "Signing in"."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, hide_input_in_errors=True)

    session_h: float = Field(default=168.0, gt=0, le=8760)
    """How long somebody stays signed in to the console with one browser, in hours, however much they do there; the
    doors of tenants that it opened close with it."""

    oidc_issuer: str | None = None
    """The issuer of an OpenID Connect provider at which people sign in to the console, exactly as its discovery
    document spells it, like `https://accounts.google.com`. Unset: with a password only."""

    oidc_client_id: str | None = None
    """What the provider knows this installation by."""

    oidc_client_secret: SecretStr | None = None
    """The secret that goes with it. Unset for a public client: PKCE is used in any case."""

    oidc_name: str = Field(default="single sign-on", min_length=1, max_length=40)
    """What the button says after "Sign in with"."""

    oidc_scopes: str = "openid email profile"
    """What the provider is asked to tell, separated by spaces; `openid` is always among it. Some tell groups only for a
    scope of their own."""

    oidc_sign_up: str = "none"
    """Who gets an account at the first sign-in: `none` (an admin makes the user first), `any`, or those whose mail is
    in one of these domains, separated by commas; always only with a mail that the provider has verified (claim
    `email_verified`). At a provider that serves everybody, `any` is everybody."""

    oidc_role_claim: str | None = None
    """The claim that names the role or the groups of who signs in, dotted if it lies deeper: `groups`,
    `realm_access.roles`. Unset: roles are given here, by an admin."""

    oidc_roles: dict[str, str] = {}
    """From the words of that claim to `admin`, `operator` or `auditor`; of several the strongest counts, and words that
    aren't here give nothing. In TOML: `[oidc_roles]`."""

    jwt_issuer: str | None = None
    """The `iss` of bearer tokens (JWT) that another system gives its users, exactly; with Supabase
    `https://PROJECT.supabase.co/auth/v1`. Unset: only Innkeeper's own tokens are good."""

    jwt_audience: str | None = None
    """The `aud` that these tokens must name. With Supabase `authenticated`."""

    jwt_secret: SecretStr | None = None
    """The secret of 32 bytes or more that tokens are signed with (HS256), where it is shared. Whoever has it can be
    anybody: prefer `jwt_jwks_url`."""

    jwt_jwks_url: str | None = None
    """Where the issuer publishes its keys (RS256, ES256). They are kept for 10 minutes, and for a day while it is
    gone; a withdrawn key is good for 15 minutes more at most."""

    jwt_role_claim: str | None = None
    """The claim that names somebody's role on the platform, dotted if it lies deeper: `app_metadata.role`. Never one
    that users can set themselves, like Supabase's `user_metadata`, which is refused."""

    jwt_roles: dict[str, str] = {}
    """From the words of that claim to `admin`, `operator` or `auditor`; words that aren't here give nothing."""

    jwt_tenants_claim: str | None = None
    """The claim that names somebody's tenants, dotted if it lies deeper: one name, a list of names, or an object of
    names to roles; up to 500."""

    jwt_tenant_role: str = "member"
    """The role in a tenant that is named without one: `owner`, `member` or `viewer`."""

    jwt_tenant_roles: dict[str, str] = {}
    """From the roles in an object of tenants to `owner`, `member` or `viewer`; words that aren't here give nothing.
    Empty: the claim says these words itself."""

    @field_validator("oidc_issuer", "jwt_issuer", "jwt_jwks_url")
    @classmethod
    def _https(cls, url: str | None) -> str | None:
        if url is not None and not is_safe(url):
            raise ValueError("must be an https URL; plain http only on this machine, like http://localhost:9000")
        return url

    @field_validator("oidc_role_claim", "jwt_role_claim", "jwt_tenants_claim")
    @classmethod
    def _not_by_the_user(cls, path: str | None) -> str | None:
        if path is not None and path.partition(".")[0] in ("user_metadata", "unsafe_metadata"):
            raise ValueError("is what users set themselves: anybody could be an admin")
        return path

    @field_validator("oidc_roles", "jwt_roles", "jwt_tenant_roles")
    @classmethod
    def _roles(cls, roles: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        known = TENANT_ROLES if info.field_name == "jwt_tenant_roles" else ROLES
        _check_roles(roles, known)
        return roles

    @field_validator("jwt_tenant_role")
    @classmethod
    def _tenant_role(cls, role: str) -> str:
        _check_roles({"": role}, TENANT_ROLES)
        return role

    @field_validator("oidc_scopes")
    @classmethod
    def _openid(cls, scopes: str) -> str:
        return " ".join(dict.fromkeys(["openid", *scopes.split()]))

    @field_validator("oidc_sign_up")
    @classmethod
    def _domains(cls, who: str) -> str:
        domains = [domain.strip().lower() for domain in who.split(",")]
        if len(domains) == 1 and domains[0] in ("none", "any"):
            return domains[0]
        if not all("." in domain and "@" not in domain and " " not in domain for domain in domains):
            raise ValueError("must be `none`, `any` or mail domains like `example.com,example.org`")
        return ",".join(domains)

    @model_validator(mode="after")
    def _whole(self) -> SignInSettings:
        if (self.oidc_issuer is None) != (self.oidc_client_id is None):
            raise ValueError("oidc_issuer and oidc_client_id go together")
        if self.jwt_issuer is None:
            if self.jwt_secret is not None or self.jwt_jwks_url is not None:
                raise ValueError("jwt_secret and jwt_jwks_url need jwt_issuer")
            return self
        if self.jwt_audience is None:
            raise ValueError("jwt_issuer needs jwt_audience: a token for another service must not be good here")
        if (self.jwt_secret is None) == (self.jwt_jwks_url is None):
            raise ValueError("jwt_issuer needs either jwt_secret or jwt_jwks_url, and never both")
        if self.jwt_secret is not None and len(self.jwt_secret.get_secret_value().encode()) < JWT_SECRET_BYTES:
            raise ValueError(f"jwt_secret needs {JWT_SECRET_BYTES} bytes or more (RFC 7518, 3.2)")
        return self

    def may_sign_up(self, mail: str | None, *, verified: bool) -> bool:
        """Whether somebody whom the provider knows, and nobody here, gets an account."""
        if self.oidc_sign_up in ("none", "any"):
            return self.oidc_sign_up == "any"
        domain = (mail or "").rpartition("@")[2].lower()
        return verified and domain in self.oidc_sign_up.split(",")


def _check_roles(roles: Mapping[str, str], known: tuple[str, ...]) -> None:
    if unknown := sorted(set(roles.values()) - set(known)):
        raise ValueError(f"there is no role {unknown[0][:40]!r}; there are {', '.join(known)}")
