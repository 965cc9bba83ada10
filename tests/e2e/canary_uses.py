"""What agents may use, with a secret of each kind behind it: providers' keys, tools' credentials, integrations' tokens,
a channel's token, and the keys that all of them are sealed with."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, unquote_plus, urlsplit

import aiodocker
import httpx2
from mcp import MCPError
from starlette.types import Receive, Scope, Send

from innkeeper.core.secrets import PLATFORM
from innkeeper.keyring.data_keys import DataKeys
from innkeeper.keyring.masters import Ring, masters_of
from tests.e2e.canary_kinds import AWKWARD, Planted
from tests.support.fake_provider import FakeProvider, Reply, fake_provider
from tests.support.installation import Installation
from tests.support.serving import serving
from tests.support.tool_server import Context, Does, ToolServer, text

INTEGRATIONS = ("good", "away", "broken", "refused")
"""By what their service does: gives new tokens; gives none for now; never again; not even the first."""


# --- the other side, which says in every way what it was given --------------------------------------------------------


def spelled(secret: str) -> str:
    """As a JSON document could say it, within a string: by itself, escaped, in a URL, in base64."""
    plain = [secret, json.dumps(secret)[1:-1], quote(secret), quote(secret, safe=""), quote_plus(secret)]
    encoded = [base64.b64encode(b"x" * before + secret.encode()).decode() for before in range(3)]
    return " ".join([*plain, *encoded])


def _given(reply: Reply) -> str:
    """The credential of a request, wherever it stands."""
    asked = reply.asked
    (key,) = parse_qs(asked.query.decode()).get("key", [""])
    scheme, _, token = asked.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        token = base64.b64decode(token).decode()
    return key or token or asked.headers.get("x-api-key", "")


async def says_what_it_got(reply: Reply) -> None:
    """A provider that is content, and repeats the key in its answer, its headers and a redirect; `/refuse` refuses."""
    key, asked = _given(reply), reply.asked
    status = 401 if asked.path.endswith("/refuse") else 307 if asked.path.endswith("/away") else 200
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": spelled(key)}}], "got": spelled(key)}
    php = json.dumps(answer).replace("/", "\\/").encode()  # as PHP writes JSON
    url = f"http://{asked.headers['host']}{asked.path}?{asked.query.decode()}"
    await reply.start(status, "application/json", x_request_id=key, x_got=quote(key, safe=""), location=url)
    await reply.write(json.dumps(answer).encode(), b"\n")
    await reply.end(php)


def quoting(server: ToolServer) -> dict[str, Does]:
    """Tools that say their server's credential."""

    async def says(context: Context, arguments: object) -> Any:
        return text(f"I was called with {spelled(server.credential or '')}")

    async def fails(context: Context, arguments: object) -> Any:
        return text(f"wrong credential: {spelled(server.credential or '')}", is_error=True)

    async def raises(context: Context, arguments: object) -> Any:
        raise MCPError(-32010, f"no good: {spelled(server.credential or '')}")

    return {"says": says, "fails": fails, "raises": raises}


class Issuer:
    """A service that hands out tokens; at the paths of those integrations it refuses, and says everything it got."""

    def __init__(self, planted: Planted) -> None:
        self._planted = planted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        form = (body + message.get("body", b"")).decode()
        proof = dict(scope["headers"])[b"authorization"].decode()
        name = scope["path"].split("/")[1]
        refreshed = "grant_type=refresh_token" in form
        if name != "refused" and (name == "good" or not refreshed):
            status, told = 200, self._tokens(name, refreshed=refreshed)
        else:
            error = "temporarily_unavailable" if name == "away" else "invalid_grant"
            said = f"{unquote_plus(base64.b64decode(proof.split()[1]).decode())} {proof} {form}"
            status, told = 400, {"error": error, "error_description": said}
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})

    def _tokens(self, name: str, *, refreshed: bool) -> dict[str, Any]:
        which = f"{name} {'refreshed' if refreshed else 'first'}"
        names = ("access", "refresh")
        for each in names:
            if f"{each} token, {which}" not in self._planted.secrets:
                self._planted.new(f"{each} token, {which}")
        tokens = {f"{each}_token": self._planted.secrets[f"{each} token, {which}"] for each in names}
        # The first ones are over at once, so that the next call has new ones fetched.
        return {**tokens, "token_type": "Bearer", "expires_in": 3600 if refreshed else 0.001}


class OtherSide:
    """All that agents' calls end at."""

    def __init__(self, planted: Planted, provider: tuple[FakeProvider, str], issuer: str) -> None:
        self.tools = ToolServer(credential=planted.new("tool credential", prefix=AWKWARD))
        self.shared = ToolServer(credential=planted.new("platform's tool credential"))
        for server in (self.tools, self.shared):
            server.tools = quoting(server)
        self.provider, self.url = provider
        self.issuer = issuer
        self.tools_url = self.shared_url = ""

    def settings(self, planted: Planted) -> dict[str, str]:
        """What leads there."""
        model = {"kind": "openai", "base_url": f"{self.url}/v1"}
        providers = {
            "house": {**model, "keys": ["${secret:HOUSE}"], "models": ["house-*"]},
            "environment": {**model, "keys": ["${env:CANARY_KEY}"], "models": ["environment-*"]},
        }
        shared = {"url": self.shared_url, "headers": {"Authorization": "Bearer ${secret:SHARED}"}}
        integrations = {
            name: {
                **{f"{what}_url": f"{self.issuer}/{name}/{what}" for what in ("authorize", "token", "revoke")},
                "client_id": "innkeeper",
                "client_secret": "${secret:CLIENT}",
            }
            for name in INTEGRATIONS
        }
        return {
            "INNKEEPER_PROVIDERS": json.dumps(providers),
            "INNKEEPER_MCP_SERVERS": json.dumps({"shared": shared}),
            "INNKEEPER_INTEGRATIONS": json.dumps(integrations),
            "CANARY_KEY": planted.new("key in the environment"),
        }

    @property
    def hosts(self) -> list[str]:
        """Where it is."""
        return [urlsplit(url).netloc for url in (self.url, self.tools_url, self.shared_url, self.issuer)]

    def uses(self) -> dict[str, Any]:
        """What tenant a is given of it."""
        http = {"kind": "http", "base_url": f"{self.url}/api"}
        return {
            "providers": {
                "own": {"kind": "openai", "base_url": f"{self.url}/v1", "keys": ["${secret:OWN}"], "models": ["own-*"]},
                "query": {**http, "keys": ["${secret:QUERY}", "${secret:DELETED}"], "inject": "query:key"},
                "basic": {**http, "keys": ["${secret:BASIC}"], "inject": "basic"},
                "header": {**http, "keys": ["${secret:HEADER}"], "inject": "header:X-Api-Key"},
                "missing": {**http, "keys": ["${secret:NOTHING}"]},
                **{name: {**http, "keys": [f"${{integration:{name}}}"]} for name in INTEGRATIONS},
            },
            "mcp": {
                "tools": {"url": self.tools_url, "headers": {"Authorization": "Bearer ${secret:TOOLS}"}},
                "shared": "shared",
            },
        }


@asynccontextmanager
async def other_side(planted: Planted) -> AsyncIterator[OtherSide]:
    """It runs, for as long as that."""
    async with fake_provider() as provider, serving(Issuer(planted)) as issuer:
        side = OtherSide(planted, provider, issuer)
        side.provider.script = says_what_it_got
        async with side.tools.running() as side.tools_url, side.shared.running() as side.shared_url:
            yield side


# --- planting ---------------------------------------------------------------------------------------------------------


async def what_is_used(inn: Installation, planted: Planted, side: OtherSide) -> None:
    """Put secrets into both vaults, and have tenant a use them."""
    old = planted.new("old secret")
    set_it = await inn.cli("secret", "set", "a", "OWN", stdin=old)
    assert set_it.returncode == 0, set_it.stderr
    planted.keep("cli:secret set", set_it.stdout + set_it.stderr)
    basic = planted.new("basic credential", prefix="someone:Canary.")
    planted.secrets["basic credential"] = basic.partition(":")[2]
    of_tenant = {
        "QUERY": planted.new("key in a URL", prefix=AWKWARD),
        "DELETED": planted.new("deleted secret"),
        "BASIC": basic,
        "HEADER": planted.new("key in a header"),
        "TOOLS": planted.secrets["tool credential"],
        "BOT": planted.new("bot token"),
    }
    of_platform = {
        "HOUSE": planted.new("platform's provider key"),
        "SHARED": planted.secrets["platform's tool credential"],
        "CLIENT": planted.new("client secret"),
    }
    paths = {f"/v1/tenants/a/secrets/{name}": value for name, value in of_tenant.items()}
    paths |= {f"/v1/secrets/{name}": value for name, value in of_platform.items()}
    async with inn.api() as api:
        for path, value in paths.items():
            answer = await api.put(path, json={"value": value})
            assert answer.status_code == 200, answer.text
            planted.keep("api:set a secret", answer.text)
        patch = {"uses": side.uses(), "config": {"channels": {"telegram": {"token": "${secret:BOT}"}}}}
        answer = await api.patch("/v1/tenants/a", params={"wait": 120}, json=patch)
        assert answer.json().get("status") == "done", answer.text
        planted.keep("api:change", answer.text)


async def new_keys(inn: Installation, planted: Planted) -> None:
    """A new master key, exports, and what goes wrong with them."""
    planted.new("passphrase")
    wrong = planted.new("wrong passphrase")
    plain, sealed = str(inn.data / "plain.export"), str(inn.data / "sealed.export")
    for arguments, stdin, status in (
        (("rotate",), "", 0),
        (("export", plain), "", 0),
        (("export", sealed, "--passphrase-file", "-"), planted.secrets["passphrase"], 0),
        (("export", sealed, "--passphrase-file", "-"), planted.secrets["passphrase"], 1),  # it is there already
        (("import", sealed, "--passphrase-file", "-"), wrong, 1),
        (("show",), "", 0),
    ):
        done = await inn.cli("keyring", *arguments, stdin=stdin)
        assert done.returncode == status, done.stdout + done.stderr
        planted.keep(f"cli:keyring {arguments[0]}", done.stdout + done.stderr)
    masters = masters_of((inn.data / "keyring").read_bytes(), where="the keyring")
    planted.secrets["new master key"] = base64.b64encode(masters.newest.key).decode()
    keys = DataKeys(inn.data / "keys", Ring(masters, lambda: masters))
    owners = {
        "platform's data key": PLATFORM,
        "tenant's data key": next(each for each in keys.owners() if "tn_" in each),
    }
    for kind, owner in owners.items():
        found = keys.find(owner)
        assert found is not None
        planted.secrets[kind] = base64.b64encode(found.key).decode()


async def connect(inn: Installation, planted: Planted, browser: httpx2.AsyncClient) -> None:
    """As the tenant's owner does, in a browser that is signed in."""
    for name in INTEGRATIONS:
        origin = {"Origin": f"http://console.localhost:{inn.edge_port}"}
        form = {"tenant": "a", "integration": name}
        onward = await browser.post("/integrations/connect", data=form, headers=origin)
        page = urlsplit(unescape(onward.text.partition('<a href="')[2].partition('"')[0]))
        (state,) = parse_qs(page.query)["state"]
        code = planted.new(f"code, {name}")
        back = await browser.get(f"/integrations/callback/{name}", params={"code": code, "state": state})
        assert (back.status_code == 200) is (name != "refused"), back.text
        planted.keep("page:connect", back.text)


# --- using ------------------------------------------------------------------------------------------------------------

_PROGRAM = """
import json, re, sys, urllib.error, urllib.request
class Still(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_): pass
token = re.search("ik_b_[A-Za-z0-9_-]+", open("/data/.nanobot/model.env").read())[0]
opener = urllib.request.build_opener(Still)
for url, body in json.loads(sys.argv[1]):
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    headers["Content-Type"] = "application/json"
    ask = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    try:
        answer = opener.open(ask, timeout=60)
    except urllib.error.HTTPError as error:
        answer = error
    try:
        said = answer.read().decode()
    except Exception as error:
        said = repr(error)
    print(json.dumps([answer.status, said, str(answer.headers)]))
"""


async def agent_asks(
    inn: Installation, docker: aiodocker.Docker, planted: Planted, asks: Sequence[tuple[str, object]]
) -> list[tuple[int, str]]:
    """What the broker answers the agent of tenant a, by path and body: status and words."""
    named = {each["Config"]["Labels"]["innkeeper.tenant"]: each for each in await inn.containers(docker)}
    (network,) = named["a"]["NetworkSettings"]["Networks"].values()
    told = json.dumps([(f"http://{network['Gateway']}:{inn.broker_port}{path}", body) for path, body in asks])
    execution = await docker.containers.container(named["a"]["Id"]).exec(
        ["/opt/agent/bin/python", "-c", _PROGRAM, told]
    )
    printed = b""
    async with execution.start() as stream:
        while (message := await stream.read_out()) is not None:
            printed += message.data
    answers = [json.loads(line) for line in printed.splitlines()]
    assert len(answers) == len(asks), printed.decode()
    for (path, body), (status, said, headers) in zip(asks, answers, strict=True):
        planted.keep(f"agent:{path}", f"{body}\n{status} {headers}\n{said}")
    return [(status, said) for status, said, _ in answers]


def chat(model: str, *, stream: bool = False) -> tuple[str, object]:
    """A model call."""
    message = {"role": "user", "content": "hello"}
    return "/v1/chat/completions", {"model": model, "messages": [message], "stream": stream}


def tool(name: str) -> tuple[str, object]:
    """A tool's call."""
    call = {"name": name, "arguments": {"text": "hello"}}
    return "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}


async def uses_succeed(inn: Installation, docker: aiodocker.Docker, planted: Planted) -> None:
    """The agent calls all that it may, and each says what it was given."""
    models = [chat(model) for model in ("own-1", "house-1", "environment-1")]
    apis = [(f"/http/{name}/thing", None) for name in ("query", "basic", "header", "good")]
    tools = [tool(f"{server}__{each}") for server in ("tools", "shared") for each in ("says", "fails", "raises")]
    answers = await agent_asks(inn, docker, planted, [*models, *apis, *tools])
    statuses = [status for status, _ in answers]
    assert statuses == [200] * len(answers), statuses
    for number, (_, said) in enumerate(answers):
        assert "***" in said, f"call {number} said nothing of it: {said[:500]}"


async def uses_fail(inn: Installation, docker: aiodocker.Docker, planted: Planted) -> None:
    """Refusals, redirects, and what is missing."""
    paths = [f"/http/{name}/{what}" for name in ("query", "basic", "header") for what in ("away", "refuse")]
    paths += [f"/http/{name}/thing" for name in ("missing", "away", "broken", "refused", "nothing")]
    answers = await agent_asks(inn, docker, planted, [*((path, None) for path in paths), tool("tools__nothing")])
    statuses = [status for status, _ in answers[:6]]
    assert statuses == [307, 401] * 3, statuses


async def changed_secrets(inn: Installation, docker: aiodocker.Docker, planted: Planted) -> None:
    """One is rotated and one deleted, both after they were used."""
    await agent_asks(inn, docker, planted, [chat("own-1"), ("/http/query/refuse", None)])
    async with inn.api() as api:
        body = {"value": planted.new("rotated secret")}
        rotated = await api.post("/v1/tenants/a/secrets/OWN/rotate", json=body)
        assert rotated.status_code == 200, rotated.text
        assert (await api.delete("/v1/tenants/a/secrets/DELETED")).status_code == 204
        planted.keep("api:rotate", rotated.text)


async def refused_secrets(inn: Installation, planted: Planted, folder: Path) -> None:
    """Values that can't be kept, at each way in."""
    canary = planted.new("refused secret")
    values = {"large": canary * (1_000_000 // len(canary)), "nul": f"{canary}\0", "surrogate": f"{canary}\ud800"}
    async with inn.api() as api:
        for path in ("/v1/tenants/a/secrets/REFUSED", "/v1/secrets/REFUSED", "/v1/tenants/a/secrets/OWN/rotate"):
            for value in values.values():
                send = api.post if path.endswith("rotate") else api.put
                content = json.dumps({"value": value})
                answer = await send(path, content=content, headers={"Content-Type": "application/json"})
                assert 400 <= answer.status_code < 500, answer.text
                planted.keep("api:refuse a secret", answer.text)
    for name in ("large", "nul"):
        file = folder / name
        file.write_text(values[name])
        done = await inn.cli("secret", "set", "a", "REFUSED", "--from-file", str(file))
        assert done.returncode != 0
        planted.keep("cli:refuse a secret", done.stdout + done.stderr)


def misplaced(api: httpx2.AsyncClient, secret: str) -> list[Any]:
    """Requests with a secret where a reference, or another field, was due."""
    provider = {"kind": "http", "base_url": "https://api.example", "keys": ["${secret:OWN}"]}
    server = {"url": "https://tools.example/mcp"}

    def change(**patch: object) -> Any:
        return api.patch("/v1/tenants/a", json=patch)

    return [
        change(config={"channels": {"telegram": {"token": secret}}}),
        change(config={"channels": {"telegram": {"token": f"x ${{secret:BOT}} {secret}"}}}),
        change(uses={"providers": {"x": {**provider, "keys": [secret]}}}),
        change(uses={"providers": {"x": {**provider, "inject": secret}}}),
        change(uses={"providers": {"x": {**provider, "token": secret}}}),
        change(uses={"providers": {"x": {**provider, "base_url": f"https://someone:{secret}@api.example"}}}),
        change(uses={"mcp": {"x": {**server, "headers": {"Authorization": f"Bearer {secret}"}}}}),
        change(uses={"mcp": {"x": secret}}),
        api.put("/v1/tenants/a/secrets/X", json={"value": {"value": secret}}),
        api.put("/v1/tenants/a/secrets/X", json={"value": "x", "expires_at": secret}),
        api.put("/v1/tenants/a/secrets/X", json={"valeu": secret}),
        api.post("/v1/tenants/a/secrets/X/rotate", json={"value": secret, "back_to": secret}),
        api.post(f"/v1/tenants/a/integrations/{quote(secret, safe='')}/connect"),
    ]
