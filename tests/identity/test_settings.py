"""The settings of signing in: what would let strangers in isn't taken."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from innkeeper.identity.choice import outside_tokens
from innkeeper.settings import Settings

SECRET = "a shared secret of 32 bytes or more"
OIDC: dict[str, Any] = {"oidc_issuer": "https://id.example.com", "oidc_client_id": "innkeeper"}
JWT: dict[str, Any] = {
    "jwt_issuer": "https://id.example.com/auth/v1",
    "jwt_audience": "authenticated",
    "jwt_secret": SECRET,
}
KEYS: dict[str, Any] = {**JWT, "jwt_secret": None, "jwt_jwks_url": "https://id.example.com/jwks"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({**JWT, "jwt_jwks_url": "https://id.example.com/jwks"}, "never both"),
        ({**JWT, "jwt_secret": None}, "never both"),
        ({**JWT, "jwt_secret": "short-secret-of-31-bytes-------"}, "32 bytes"),
        ({**JWT, "jwt_audience": None}, "jwt_audience"),
        ({**JWT, "jwt_issuer": None}, "need jwt_issuer"),
        ({**JWT, "jwt_issuer": "http://id.example.com"}, "https"),
        ({**KEYS, "jwt_jwks_url": "http://10.0.0.1/jwks"}, "https"),
        ({**KEYS, "jwt_jwks_url": "file:///etc/passwd"}, "https"),
        ({**KEYS, "jwt_jwks_url": "http://localhost@id.example.com/"}, "https"),
        ({**KEYS, "jwt_jwks_url": "http://localhost.example.com/"}, "https"),
        ({**JWT, "jwt_role_claim": "user_metadata.role"}, "themselves"),
        ({**JWT, "jwt_tenants_claim": "user_metadata.tenants"}, "themselves"),
        ({**JWT, "jwt_roles": {"boss": "root"}}, "admin, operator, auditor"),
        ({**JWT, "jwt_tenant_roles": {"boss": "admin"}}, "owner, member, viewer"),
        ({**JWT, "jwt_tenant_role": "admin"}, "owner, member, viewer"),
        ({**OIDC, "oidc_client_id": None}, "go together"),
        ({**OIDC, "oidc_issuer": "http://id.example.com"}, "https"),
        ({**OIDC, "oidc_issuer": "https://id.example.com/#x"}, "https"),
        ({**OIDC, "oidc_roles": {"boss": "owner"}}, "admin, operator, auditor"),
        ({**OIDC, "oidc_sign_up": "everybody"}, "mail domains"),
        ({**OIDC, "oidc_sign_up": "any,example.com"}, "mail domains"),
        ({**OIDC, "oidc_sign_up": ""}, "mail domains"),
    ],
)
def test_what_would_let_strangers_in_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.load(**wrong)
    assert words in str(refused.value)
    if secret := wrong.get("jwt_secret"):
        assert secret[-9:] not in str(refused.value)
        assert "input_value" not in str(refused.value)


@pytest.mark.parametrize("issuer", ["http://localhost:9000", "http://127.0.0.1:9000/", "http://[::1]:9000"])
def test_on_this_machine_plain_http_will_do(issuer: str) -> None:
    assert Settings.load(oidc_issuer=issuer, oidc_client_id="x").oidc_issuer == issuer


def test_who_isnt_set_up_isnt_asked() -> None:
    assert outside_tokens(Settings.load()) is None
    assert outside_tokens(Settings.load(**JWT)) is not None
    assert outside_tokens(Settings.load(**KEYS)) is not None


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNKEEPER_OIDC_CLIENT_SECRET", "canary-secret")
    monkeypatch.setenv("INNKEEPER_OIDC_ROLES", '{"staff": "operator"}')
    settings = Settings.load(**OIDC, **JWT)
    assert settings.oidc_client_secret is not None
    assert settings.oidc_roles == {"staff": "operator"}
    assert "canary-secret" not in repr(settings)
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("policy", "let_in"),
    [
        ("none", []),
        ("any", ["ada@example.com", "ADA@EXAMPLE.ORG", "eve@example.com.evil.test", None, "unverified"]),
        ("Example.com, example.org", ["ada@example.com", "ADA@EXAMPLE.ORG"]),
    ],
)
def test_who_gets_an_account_at_the_first_sign_in(policy: str, let_in: list[str | None]) -> None:
    settings = Settings.load(**OIDC, oidc_sign_up=policy)
    for mail in ("ada@example.com", "ADA@EXAMPLE.ORG", "eve@example.com.evil.test", None):
        assert settings.may_sign_up(mail, verified=True) is (mail in let_in)
    assert settings.may_sign_up("ada@example.com", verified=False) is ("unverified" in let_in)
