"""What operators may say of an integration, and what they are told when it can't be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from innkeeper.concierge import client_secrets
from innkeeper.core.integration import ClientAuth
from innkeeper.core.integration_reading import integration_of
from innkeeper.core.secret_errors import SecretMissing
from innkeeper.settings import Settings
from tests.support.secrets import NamedSecrets

GOOD: dict[str, Any] = {
    "authorize_url": "https://accounts.example.com/authorize",
    "token_url": "https://accounts.example.com/token",
    "client_id": "innkeeper",
}


def test_a_file_says_all_of_it(tmp_path: Path) -> None:
    file = tmp_path / "innkeeper.toml"
    file.write_text(
        """
        [integrations.google]
        title = "Google"
        authorize_url = "https://accounts.google.com/o/oauth2/v2/auth"
        token_url = "https://oauth2.googleapis.com/token"
        revoke_url = "https://oauth2.googleapis.com/revoke"
        client_id = "7.apps.googleusercontent.com"
        client_secret = "${secret:google-client}"
        client_auth = "post"
        scopes = ["https://www.googleapis.com/auth/drive.readonly", "openid"]
        parameters = { access_type = "offline", prompt = "consent" }
        """
    )
    google = Settings.load(file, data=tmp_path).integrations_by_name["google"]
    assert (google.title, google.client_auth, google.client_secret) == (
        "Google",
        ClientAuth.POST,
        "${secret:google-client}",
    )
    assert google.scopes == ("https://www.googleapis.com/auth/drive.readonly", "openid")
    assert google.parameters == {"access_type": "offline", "prompt": "consent"}


def test_what_goes_without_saying() -> None:
    public = integration_of("x", {**GOOD, "scopes": "a b a"})
    assert (public.title, public.scopes, public.client_auth) == ("x", ("a", "b"), ClientAuth.NONE)
    assert integration_of("x", {**GOOD, "client_secret": "${env:X}"}).client_auth is ClientAuth.BASIC
    here = integration_of("x", {**GOOD, "token_url": "http://127.0.0.1:9000/token"})
    assert here.token_url == "http://127.0.0.1:9000/token"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"client_id": ""}, "client_id"),
        ({"client_id": None}, "client_id"),
        ({"token_url": "http://accounts.example.com/token"}, "token_url"),
        ({"token_url": "https://user@accounts.example.com/token"}, "token_url"),
        ({"authorize_url": "javascript:alert(1)"}, "authorize_url"),
        ({"authorize_url": None}, "authorize_url"),
        ({"revoke_url": "file:///etc/passwd"}, "revoke_url"),
        ({"client_secret": "hunter2 written out"}, "client_secret"),
        ({"client_secret": "${integration:x}"}, "client_secret"),
        ({"client_auth": "post"}, "client_auth"),
        ({"client_secret": "${secret:x}", "client_auth": "none"}, "client_auth"),
        ({"client_auth": "mtls"}, "client_auth"),
        ({"scopes": ["a b"]}, "scopes"),
        ({"scopes": 7}, "scopes"),
        ({"parameters": {"state": "mine"}}, "parameters.state"),
        ({"parameters": {"redirect_uri": "https://evil.test"}}, "redirect_uri"),
        ({"parameters": {"x": 7}}, "parameters"),
        ({"title": ""}, "title"),
        ({"issuer": "ftp://x"}, "issuer"),
        ({"secret": "x"}, "integrations.google"),
    ],
)
def test_what_cant_be_is_told_by_its_field_and_never_quotes_a_secret(said: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field) as refused:
        Settings(integrations={"google": {**GOOD, **said}})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "Google", "../x", "a b", "x" * 40])
def test_names_that_cant_stand_in_a_url(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        Settings(integrations={name: GOOD})


async def test_a_clients_secret_is_found_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    vault = NamedSecrets()
    vault.put("google-client", "from the vault")
    monkeypatch.setenv("GOOGLE_SECRET", "from the environment")
    find = client_secrets(vault)
    assert await find(integration_of("x", GOOD)) is None
    assert await find(integration_of("x", {**GOOD, "client_secret": "${secret:google-client}"})) == "from the vault"
    assert await find(integration_of("x", {**GOOD, "client_secret": "${env:GOOGLE_SECRET}"})) == "from the environment"
    for gone in ("${secret:other}", "${env:NO_SUCH_VARIABLE}"):
        with pytest.raises(SecretMissing):
            await find(integration_of("x", {**GOOD, "client_secret": gone}))
