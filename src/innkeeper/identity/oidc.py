"""Signing in at an identity provider (OpenID Connect Core 1.0, 3.1): the code flow with PKCE, state and nonce.

The protocol's pieces are Authlib's: the address of the question, the challenge, the judgement of the claims. Its own
clients are built on httpx and requests, neither of which is here (docs/decisions/0005), so what goes over the network
is asked with httpx2 and tight limits.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from innkeeper.core.identity import Identity, Pending
from innkeeper.core.identity_errors import SignInFailed
from innkeeper.identity import signed
from innkeeper.identity.claims import found, mail_from, name_from, role_from, subject_from
from innkeeper.identity.documents import Documents
from innkeeper.identity.jwks import KeySet
from innkeeper.identity.provider import Description, Provider, ProviderConfig

LEEWAY_S = 30
"""How far the provider's clock may be from ours."""
PATIENCE_S = 600
"""How long somebody may take to sign in at the provider."""
_CODE_LIMIT = 4096
_ERROR = re.compile(r"[a-z_]{1,40}", re.ASCII)


class OpenIDConnect:
    """The core's `SignIn` at one provider."""

    def __init__(
        self,
        config: ProviderConfig,
        *,
        documents: Documents | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = config.name
        self._config = config
        self._documents = documents or Documents()
        self._now = now
        self._provider = Provider(config, self._documents, now=monotonic)
        self._keys = KeySet(self._documents, self._provider.keys_url, now=monotonic)

    async def begin(self, redirect_uri: str) -> tuple[str, Pending]:
        """The provider's page, and the secrets that bind its answer to this browser; raises IdentityProviderAway."""
        described = await self._provider.describe()
        pending = Pending(
            issuer=self._config.issuer,
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            begun_at=int(self._now()),
        )
        url: str = prepare_grant_uri(
            described.authorization_endpoint,
            self._config.client_id,
            "code",
            redirect_uri,
            self._config.scopes,
            pending.state,
            nonce=pending.nonce,
            code_challenge=create_s256_code_challenge(pending.verifier),
            code_challenge_method="S256",
        )
        return url, pending

    async def finish(self, pending: Pending, redirect_uri: str, params: Mapping[str, str]) -> Identity:
        """Who it is; raises SignInFailed and IdentityProviderAway."""
        described = await self._provider.describe()
        code = self._code(pending, described, params)
        answer = await self._exchange(described, code, pending.verifier, redirect_uri)
        claims = await self._judged(described, answer, pending.nonce)
        subject = subject_from(claims.get("sub"))
        if subject is None:
            raise SignInFailed("the subject can't be one")
        if self._wants_more(claims):
            told = await self._userinfo(described, answer, subject)
            if told.get("email") != claims.get("email", told.get("email")):
                told.pop("email_verified", None)  # what it vouches for is another mail than the one that was signed
            claims = {**told, **claims}  # what was signed for us comes first
        mail = mail_from(claims.get("email"))
        role = found(claims, self._config.role_claim) if self._config.role_claim else None
        return Identity(
            issuer=self._config.issuer,
            subject=subject,
            mail=mail,
            mail_verified=mail is not None and claims.get("email_verified") is True,
            name=name_from(claims.get("name")) or name_from(claims.get("preferred_username")),
            role=role_from(role, self._config.roles),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._documents.close()

    def _code(self, pending: Pending, described: Description, params: Mapping[str, str]) -> str:
        """The code in an answer that belongs to this browser, this provider and this hour."""
        if not _same(params.get("state", ""), pending.state):
            raise SignInFailed("the state is another one's")
        if pending.issuer != self._config.issuer:
            raise SignInFailed("it was begun at another provider")
        if not 0 <= self._now() - pending.begun_at <= PATIENCE_S:
            raise SignInFailed("it took too long")
        answerer = params.get("iss")
        if answerer is None and described.names_itself:
            raise SignInFailed("the answer doesn't say whose it is")
        if answerer is not None and answerer != self._config.issuer:
            raise SignInFailed("the answer is another provider's")
        if "error" in params:
            raise SignInFailed(f"the provider said {_told(params['error'])}")
        code = params.get("code", "")
        if not 0 < len(code) <= _CODE_LIMIT:
            raise SignInFailed("the answer has no code")
        return code

    async def _exchange(self, described: Description, code: str, verifier: str, redirect_uri: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers: dict[str, str] = {}
        client_id, secret = self._config.client_id, self._config.client_secret
        if secret is None:
            form["client_id"] = client_id
        elif described.secret_in_body:
            form |= {"client_id": client_id, "client_secret": secret}
        else:
            # Form-encoded first (RFC 6749, 2.3.1), which most clients forget, and which matters for a `%` or a `:`.
            words = f"{quote_plus(client_id)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {base64.b64encode(words.encode()).decode()}"
        status, answer = await self._documents.ask("POST", described.token_endpoint, headers=headers, form=form)
        if status != 200 or answer is None:
            raise SignInFailed(f"the provider took no code: {status} {_told((answer or {}).get('error'))}")
        return answer

    async def _judged(self, described: Description, answer: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        """What the ID token says, if it is for us, for this sign-in and by the provider."""
        token, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str):
            raise SignInFailed("the provider gave no ID token")
        try:
            header = signed.read_header(token, described.algorithms)
            key = await self._keys.require(header.key_id, header.algorithm)
            claims = signed.read_claims(token, header, key)
            CodeIDToken(
                claims,
                {"alg": header.algorithm},
                options={
                    "iss": {"essential": True, "value": self._config.issuer},
                    "aud": {"essential": True, "value": self._config.client_id},
                    "exp": {"essential": True},
                    "iat": {"essential": True},
                    "sub": {"essential": True},
                },
                params={
                    "nonce": nonce,
                    "client_id": self._config.client_id,
                    "access_token": access if isinstance(access, str) else None,
                },
            ).validate(now=int(self._now()), leeway=LEEWAY_S)
        except signed.NotTrusted as error:
            raise SignInFailed(f"the ID token isn't good: {error}") from error
        except JoseError as error:
            raise SignInFailed(f"the ID token's claims don't hold: {error.error}") from error
        except (TypeError, ValueError, AttributeError) as error:  # a claim of a shape that Authlib doesn't expect
            raise SignInFailed("the ID token's claims can't be read") from error
        return claims

    def _wants_more(self, claims: Mapping[str, Any]) -> bool:
        role = self._config.role_claim
        return mail_from(claims.get("email")) is None or (role is not None and found(claims, role) is None)

    async def _userinfo(self, described: Description, answer: Mapping[str, Any], subject: str) -> dict[str, Any]:
        """What else the provider says about the same person (Core 5.3); nothing where it doesn't say more."""
        access = answer.get("access_token")
        if described.userinfo_endpoint is None or not isinstance(access, str) or not access.isascii():
            return {}
        headers = {"authorization": f"Bearer {access}"}
        status, claims = await self._documents.ask("GET", described.userinfo_endpoint, headers=headers)
        if status != 200 or claims is None:
            return {}
        if claims.get("sub") != subject:
            raise SignInFailed("the user's details are another's")
        return claims


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))


def _told(error: object) -> str:
    """A provider's error as far as it is harmless in a log."""
    return error if isinstance(error, str) and _ERROR.fullmatch(error) else "something else"
