"""Which ways of signing in there are, by the settings; what isn't set up isn't even loaded."""

from __future__ import annotations

from innkeeper.core.ports import OutsideTokens, SignIn
from innkeeper.sign_in_settings import SignInSettings


def outside_tokens(settings: SignInSettings) -> OutsideTokens | None:
    """The outside issuer whose tokens are believed, if there is one."""
    if settings.jwt_issuer is None or settings.jwt_audience is None:
        return None
    from innkeeper.identity.jwt import IssuedTokens, IssuerConfig

    secret = settings.jwt_secret
    return IssuedTokens(
        IssuerConfig(
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            secret=None if secret is None else secret.get_secret_value().encode(),
            jwks_url=settings.jwt_jwks_url,
            role_claim=settings.jwt_role_claim,
            roles=settings.jwt_roles,
            tenants_claim=settings.jwt_tenants_claim,
            tenant_role=settings.jwt_tenant_role,
            tenant_roles=settings.jwt_tenant_roles,
        )
    )


def sign_in(settings: SignInSettings) -> SignIn | None:
    """The provider at which people sign in, if there is one."""
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    from innkeeper.identity.oidc import OpenIDConnect
    from innkeeper.identity.provider import ProviderConfig

    secret = settings.oidc_client_secret
    return OpenIDConnect(
        ProviderConfig(
            name=settings.oidc_name,
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret=None if secret is None else secret.get_secret_value(),
            scopes=settings.oidc_scopes,
            role_claim=settings.oidc_role_claim,
            roles=settings.oidc_roles,
        )
    )
