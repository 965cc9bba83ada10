"""The way out leads to the public internet alone, whatever a name says and however an address is written."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.types import Receive, Scope, Send

from innkeeper.broker.addresses import Address, is_metadata, is_public
from innkeeper.broker.guard import ON_BEHALF_OF, spelled_out
from innkeeper.broker.outbound import outbound_client
from innkeeper.broker.problems import DestinationRefused
from tests.broker.house import HERE
from tests.support.serving import serving

REFUSED = [
    "127.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.31.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.1.1",
    "169.254.169.254",
    "168.63.129.16",
    "192.88.99.1",
    "198.18.0.1",
    "224.0.0.251",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::10.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    "2001::1",
    "2001:db8::1",
    "2002:a00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", REFUSED)
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8"])
def test_public_addresses(address: str) -> None:
    assert is_public(ip_address(address))
    assert not is_metadata(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "fd00:ec2::254"],
)
def test_metadata_in_every_wrapping(address: str) -> None:
    assert is_metadata(ip_address(address))


class Names:
    """Says what the test wants, each time anew."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[Address]:
        """The next answer."""
        self.asked.append(host)
        return [ip_address(address) for address in self.answers.pop(0)]


@pytest.fixture
async def inside() -> AsyncIterator[int]:
    """The port of a server that must not be reached unless it is named."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        host = dict(scope["headers"])[b"host"]
        status = {"/away": 307}.get(scope["path"], 200)
        headers = [(b"location", b"http://metadata.example/")] if status == 307 else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": host})

    async with serving(app) as url:
        yield int(url.rpartition(":")[2])


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0"]
)
async def test_the_hosts_own_ports_are_out_of_reach(host: str, inside: int) -> None:
    async with outbound_client() as client:
        with pytest.raises(DestinationRefused) as refused:
            await client.get(f"http://{host}:{inside}/")
    assert refused.value.code == "destination_refused"


@pytest.mark.parametrize(
    "host",
    [
        "0177.0.0.1",
        "00.0.0.0",
        "127.000.000.001",
        "127.0.0.1.",
        "127.0.0.1%00",
        "127%2e0%2e0%2e1",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "localhost.",
        "[::1%lo]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "8.8.8.8@127.0.0.1",
        "8.8.8.8\\@127.0.0.1",
        "127.0.0.1#@8.8.8.8",
        "127.0.0.1\t",
    ],
)
async def test_no_spelling_leads_inside(host: str, inside: int) -> None:
    async with outbound_client() as client:
        with pytest.raises((DestinationRefused, httpx2.ConnectError, httpx2.InvalidURL)):
            await client.get(f"http://{host}:{inside}/")


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"]])
async def test_a_name_that_leads_inside_is_refused(answer: list[str], inside: int) -> None:
    async with outbound_client(resolve=Names(answer)) as client:
        with pytest.raises(DestinationRefused, match=r"api\.example"):
            await client.get(f"http://api.example:{inside}/")


@pytest.mark.parametrize("named", ["api.example", "API.example.", "api.example:{port}"])
async def test_a_host_that_is_named_is_reached_by_its_name(named: str, inside: int) -> None:
    names = Names(["127.0.0.1"])
    async with outbound_client([named.format(port=inside)], resolve=names) as client:
        answer = await client.get(f"http://api.example:{inside}/")
    assert answer.text == f"api.example:{inside}"
    assert names.asked == ["api.example"]


@pytest.mark.parametrize("named", ["api.example:1", "127.0.0.1", "example", "*.example", ""])
async def test_nothing_else_is_named_with_it(named: str, inside: int) -> None:
    async with outbound_client([named], resolve=Names(["127.0.0.1"])) as client:
        with pytest.raises(DestinationRefused):
            await client.get(f"http://api.example:{inside}/")


async def test_metadata_is_refused_even_by_name() -> None:
    async with outbound_client(["metadata.example", "169.254.169.254"], resolve=Names(["169.254.169.254"])) as client:
        for url in ("http://metadata.example/", "http://169.254.169.254/latest/meta-data"):
            with pytest.raises(DestinationRefused):
                await client.get(url)


async def test_the_judged_address_is_the_one_connected_to(inside: int) -> None:
    names = Names(["127.0.0.1"], ["10.255.255.255"])
    async with outbound_client(["api.example"], resolve=names) as client:
        await client.get(f"http://api.example:{inside}/")
        await client.get(f"http://api.example:{inside}/")  # over the same connection: no new name, no new judgement
    assert len(names.asked) == 1


async def test_redirects_are_not_followed_and_judged_when_they_are(inside: int) -> None:
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    async with outbound_client(["api.example"], resolve=names) as client:
        url = f"http://api.example:{inside}/away"
        assert (await client.get(url)).status_code == 307
        with pytest.raises(DestinationRefused, match=r"metadata\.example"):
            await client.get(url, follow_redirects=True)


async def test_the_next_address_is_tried(inside: int) -> None:
    async with outbound_client(["api.example"], resolve=Names(["127.0.0.9", "127.0.0.1"])) as client:
        assert (await client.get(f"http://api.example:{inside}/")).status_code == 200


def _nobody(host: str, port: int) -> list[Address]:
    raise OSError("no such host")


@pytest.mark.parametrize("resolve", [_nobody, Names([])])
async def test_a_name_without_an_address_is_no_connection(resolve: Names) -> None:
    async with outbound_client(resolve=resolve) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get("http://api.example/")


async def test_names_that_never_resolve_hold_up_nobody_else(inside: int) -> None:
    go = threading.Event()

    def hangs(host: str, port: int) -> list[Address]:
        go.wait()
        return []

    async with outbound_client(resolve=hangs, timeout=httpx2.Timeout(0.05)) as theirs, outbound_client([HERE]) as ours:
        waiting = [theirs.get(f"http://{number}.example/") for number in range(50)]
        gave_up = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(error) for error in gave_up} == {httpx2.ConnectTimeout}
        assert (await ours.get(f"http://{HERE}:{inside}/")).status_code == 200
    go.set()


async def test_one_tenants_names_that_never_resolve_hold_up_no_other_tenant(inside: int) -> None:
    go = threading.Event()

    def resolve(host: str, port: int) -> list[Address]:
        if host != "api.example":
            go.wait()
        return [ip_address("127.0.0.1")]

    async def get(tenant: str, client: httpx2.AsyncClient, host: str) -> httpx2.Response:
        ON_BEHALF_OF.set(tenant)  # within this task
        return await client.get(f"http://{host}:{inside}/")

    patience = httpx2.Timeout(60, connect=0.05)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(outbound_client(["api.example"], resolve=resolve, timeout=patience))
        stack.callback(go.set)
        for _ in range(2):  # who gives up and comes again has no more of it
            asked = [asyncio.create_task(get("a", client, f"{number}.example")) for number in range(50)]
            gave_up = await asyncio.gather(*asked, return_exceptions=True)
            assert {type(error) for error in gave_up} == {httpx2.ConnectTimeout}
        client.timeout = httpx2.Timeout(30)
        answer = await asyncio.create_task(get("b", client, "api.example"))
        assert answer.status_code == 200
        go.set()
        answer = await asyncio.create_task(get("a", client, "api.example"))
        assert answer.status_code == 200


async def test_no_proxy_of_the_environment(inside: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{inside}")
    async with outbound_client() as client:
        with pytest.raises(DestinationRefused):
            await client.get("http://127.0.0.1/")


def _certificate_for(name: str, folder: Path) -> Path:
    """A key, and a certificate of its own making, in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (file := folder / "certificate.pem").write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return file


async def test_the_certificate_is_checked_against_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _certificate_for("api.example", tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 Fine\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with server, outbound_client(["api.example", "other.example"], resolve=Names(*[["127.0.0.1"]] * 2)) as client:
        assert (await client.get(f"https://api.example:{port}/")).status_code == 204
        with pytest.raises(httpx2.ConnectError, match="certificate"):
            await client.get(f"https://other.example:{port}/")


def test_what_the_operator_spells_out_counts_as_named() -> None:
    urls = [
        "http://127.0.0.1:11434/v1",
        "http://localhost:8000",
        "http://[::1]/v1",
        "https://10.0.0.7/v1",
        "https://api.openai.com/v1",
        "http://models.internal/v1",
        "http://8.8.8.8",
    ]
    assert spelled_out(urls) == ["127.0.0.1:11434", "localhost:8000", "[::1]:80", "10.0.0.7:443"]
