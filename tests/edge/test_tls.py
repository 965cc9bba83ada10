"""Names and TLS on real things: a whole edge, and another Caddy as the ACME authority of its certificates."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from innkeeper.core.errors import EdgeFault
from innkeeper.core.events import CertificateFailed
from innkeeper.core.hosting import CONSOLE
from innkeeper.edge.caddy import Caddy
from innkeeper.edge.caddy_config import FORGED, EdgePlan, render
from innkeeper.edge.caddy_launch import launch
from innkeeper.edge.certificates import CertificateShelf
from innkeeper.edge.tls import Tls, Way
from innkeeper.frontage import edge_of, edge_plan
from tests.edge.inn import DOMAIN, Inn, agent, open_inn
from tests.support.authority import Authority, authority
from tests.support.serving import free_port

pytestmark = pytest.mark.long

ALICE, BOB = f"alice.{DOMAIN}", f"bob.{DOMAIN}"


@pytest.fixture
async def acme(tmp_path: Path) -> AsyncIterator[Authority]:
    """The authority."""
    async with authority(tmp_path) as made:
        yield made


@pytest.fixture
async def hasty_acme(tmp_path: Path) -> AsyncIterator[Authority]:
    """One whose certificates are to be renewed as soon as they are there."""
    async with authority(tmp_path, lifetime="5m") as made:
        yield made


@pytest.fixture
async def inn(acme: Authority) -> AsyncIterator[Inn]:
    """An inn that gets its certificates there."""
    async with inn_of(acme) as made:
        yield made


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Where every tenant's agent answers."""
    async with agent() as port:
        yield port


def inn_of(acme: Authority) -> AbstractAsyncContextManager[Inn]:
    acme.edge_port = free_port()
    return open_inn(
        edge_port=acme.edge_port, acme_ca=acme.directory, acme_ca_root=acme.root, hsts_s=3600, hostnames_check="off",
        trust=acme.trusting(),
    )  # fmt: skip


async def test_a_tenants_certificate_is_issued_at_the_first_request(inn: Inn, acme: Authority, port: int) -> None:
    await inn.create("alice", port=port)
    assert acme.challenged == []

    answer = await inn.get(ALICE)

    assert answer.status_code == 200
    seen = {name.lower(): value for name, value in answer.json().items()}
    assert seen["x-forwarded-proto"] == "https"
    assert answer.headers["strict-transport-security"] == "max-age=3600"
    assert acme.challenged == [ALICE]
    await inn.get(ALICE)
    assert acme.challenged == [ALICE]


async def test_a_host_that_nobody_has_gets_no_certificate(inn: Inn, acme: Authority, port: int) -> None:
    await inn.create("alice", port=port, hostnames=["chat.customer.example"])

    for host in (f"nobody.{DOMAIN}", DOMAIN, "evil.example", f"x.{ALICE}", f"{CONSOLE}.evil.example"):
        with pytest.raises(ssl.SSLError):
            await inn.certificate(host)
    assert acme.orders == 0

    await inn.certificate("chat.customer.example")
    assert acme.orders == 1
    assert acme.challenged == ["chat.customer.example"]


async def test_issuing_while_tenants_come_and_go_drops_no_socket(inn: Inn, acme: Authority, port: int) -> None:
    await inn.create("alice", port=port)
    async with inn.socket(ALICE) as socket:
        for name in ("bob", "carol"):
            await inn.create(name, port=port)
            assert (await inn.get(f"{name}.{DOMAIN}")).status_code == 200
            await inn.api("DELETE", f"/v1/tenants/{name}?wait=30&purge=true")
        await socket.send("still here")
        assert await socket.recv() == "still here"
    assert acme.challenged == [ALICE, BOB, f"carol.{DOMAIN}"]


async def test_a_change_of_settings_drops_no_socket(inn: Inn, port: int) -> None:
    await inn.create("alice", port=port)
    changed = inn.settings.model_copy(update={"hsts_s": 7200})
    async with inn.socket(ALICE) as socket:
        await edge_of(changed).start()

        assert (await inn.get(ALICE)).headers["strict-transport-security"] == "max-age=7200"
        await socket.send("still here")
        assert await socket.recv() == "still here"


async def test_a_certificate_is_renewed_and_nobody_notices(hasty_acme: Authority, port: int) -> None:
    async with inn_of(hasty_acme) as inn:
        await inn.create("alice", port=port)
        first = await inn.certificate(ALICE)

        async with asyncio.timeout(30):
            while (renewed := await inn.certificate(ALICE)).serial_number == first.serial_number:
                await asyncio.sleep(0.1)

        assert renewed.not_valid_after_utc >= first.not_valid_after_utc
        assert (await inn.get(ALICE)).status_code == 200


async def test_an_authority_that_is_away_is_told_of_and_who_has_a_certificate_is_served(
    hasty_acme: Authority, port: int
) -> None:
    async with inn_of(hasty_acme) as inn:
        for name in ("alice", "bob"):
            await inn.create(name, port=port)
        await inn.certificate(ALICE)
        watch = inn.house.certificates
        assert watch is not None
        await watch.watch()
        assert [each.host for each in watch.last.found] == [ALICE]

        await hasty_acme.stop()
        with inn.house.inn.bus.subscribe() as events:
            knock = asyncio.create_task(inn.certificate(BOB))
            failed: dict[str, CertificateFailed] = {}
            async with asyncio.timeout(40):
                while failed.keys() != {ALICE, BOB}:
                    assert (await inn.get(ALICE)).status_code == 200
                    await watch.watch()
                    while not events.empty():
                        if isinstance(event := await events.get(), CertificateFailed):
                            failed[event.host] = event
                    await asyncio.sleep(0.1)
            knock.cancel()
        assert failed[BOB].tenant == "bob"
        assert "connection refused" in failed[BOB].says

        found = {each["name"]: each for each in (await inn.api("GET", "/v1/doctor")).json()["findings"]}
        assert found["certificates"]["status"] == "fail"
        assert "connection refused" in found["certificates"]["says"]
        await inn.house.measure()
        metrics = (await inn.api("GET", "/metrics")).text
        assert 'innkeeper_certificates{state="failing"} 2.0' in metrics
        assert "innkeeper_certificate_failures_total" in metrics

        await edge_of(inn.settings).stop()  # and it comes back with what it had
        await edge_of(inn.settings).start()
        assert (await inn.get(ALICE)).status_code == 200


async def test_plain_http_leads_on_to_https_for_hosts_that_we_know(inn: Inn, port: int) -> None:
    await inn.create("alice", port=port, hostnames=["chat.customer.example"])
    secure = inn.settings.edge_https_port

    for host in (ALICE, "chat.customer.example", f"{CONSOLE}.{DOMAIN}"):
        answer = await inn.plain(host, "/a/b%20c?d=e&f", method="POST")
        assert answer.status_code == 308
        assert answer.headers["location"] == f"https://{host}:{secure}/a/b%20c?d=e&f"
    assert (await inn.plain(f"{ALICE.upper()}.:80")).headers["location"] == f"https://{ALICE}:{secure}/"
    for host in (f"nobody.{DOMAIN}", "evil.example", "127.0.0.1", f"{ALICE}@evil.example"):
        answer = await inn.plain(host, "//evil.example/")
        assert answer.status_code in (400, 404)
        assert "location" not in answer.headers
    assert (await inn.plain(ALICE, "//evil.example/")).headers["location"].startswith(f"https://{ALICE}:{secure}//")


async def test_http_2_and_3_are_there(inn: Inn, port: int, tmp_path: Path) -> None:
    await inn.create("alice", port=port)
    await inn.certificate(ALICE)
    secure = inn.settings.edge_https_port

    done = await asyncio.to_thread(
        subprocess.run,
        [
            "curl", "-sS", "--http2", "--cacert", str(tmp_path / "storage/pki/authorities/local/root.crt"),
            "--resolve", f"{ALICE}:{secure}:127.0.0.1", "-o", "/dev/null", "-D", "-",
            f"https://{ALICE}:{secure}/",
        ],
        capture_output=True, text=True, env={},
    )  # fmt: skip

    assert done.stdout.startswith("HTTP/2 200"), done.stderr
    assert f'h3=":{secure}"' in done.stdout
    listening = Path("/proc/net/udp").read_text()
    assert f"0100007F:{secure:04X} " in listening


async def test_the_console_is_the_api_and_takes_nobodys_word(inn: Inn, port: int) -> None:
    host = f"{CONSOLE}.{DOMAIN}"
    forged = {name.replace("*_*", "X_Innkeeper_Client").replace("*", "Client"): "203.0.113.9" for name in FORGED}
    forged |= {f"X-Forwarded-{what}": "203.0.113.9" for what in ("For", "Host", "Proto", "User")}

    assert (await inn.get(host, "/v1/status")).status_code == 401
    answer = await inn.get(host, "/v1/status", headers=inn.bearer | forged)
    assert answer.status_code == 200
    assert "server" not in answer.headers
    # what this host may ask of the API itself isn't for those who come through the edge
    assert (await inn.get(host, "/metrics", headers=forged)).status_code == 401
    assert (await inn.get(host, f"/edge/ask?domain={ALICE}", headers=forged)).status_code == 404
    redirected = await inn.get(host, "/edge/redirect", headers={**forged, "X-Innkeeper-Redirect": f"{host} /x"})
    assert redirected.status_code == 404


async def test_nobody_can_be_called_like_the_console(inn: Inn, port: int) -> None:
    said = {"name": CONSOLE, "agent": "custom", "custom": {"image": "sha256:" + "0" * 64, "port": port}}
    answer = await inn.api("POST", "/v1/tenants", json=said)

    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_name"


async def test_caddys_own_authority(port: int) -> None:
    async with open_inn(tls="internal") as inn:
        await inn.create("alice", port=port)
        inn.trust = ssl.create_default_context()
        inn.trust.check_hostname, inn.trust.verify_mode = False, ssl.CERT_NONE

        assert (await inn.get(ALICE)).status_code == 200
        assert "Caddy Local Authority" in (await inn.certificate(ALICE)).issuer.rfc4514_string()
        with pytest.raises(ssl.SSLError):
            await inn.certificate(f"nobody.{DOMAIN}")
        shelf = CertificateShelf(edge_plan(inn.settings)).look()
        assert [each.host for each in shelf.found] == [ALICE]


async def test_an_operators_own_files_and_their_renewal(port: int, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    first = write_pair(cert, key, f"*.{DOMAIN}", lasts=timedelta(days=90))
    async with open_inn(tls="files", tls_cert=cert, tls_key=key) as inn:
        await inn.create("alice", port=port)
        inn.trust = ssl.create_default_context(cadata=cert.read_text())
        assert (await inn.certificate(ALICE)).serial_number == first
        with pytest.raises(ssl.SSLError):
            await inn.certificate("evil.example")
        assert (await inn.plain(ALICE)).status_code == 308

        async with inn.socket(ALICE) as socket:
            second = write_pair(cert, key, f"*.{DOMAIN}", lasts=timedelta(hours=1), began=timedelta(days=89))
            watch = inn.house.certificates
            assert watch is not None
            await watch.watch()
            inn.trust = ssl.create_default_context(cadata=cert.read_text())
            assert (await inn.certificate(ALICE)).serial_number == second != first
            await socket.send("still here")
            assert await socket.recv() == "still here"

        found = {each["name"]: each for each in (await inn.api("GET", "/v1/doctor")).json()["findings"]}
        assert found["certificates"]["status"] == "warn"
        assert found["certificates"]["says"].startswith("your own ends at")

        cert.write_text("not a certificate")
        await watch.watch()  # says so in the log, and serves what it had
        assert (await inn.certificate(ALICE)).serial_number == second


async def test_without_a_control_plane_the_console_says_so(run: Path) -> None:
    plan = EdgePlan(host="127.0.0.1", port=free_port(), run=run, wake_deadline_s=-9)  # looked for within a second
    caddy = Caddy(plan)
    await caddy.start()
    try:
        async with httpx2.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{plan.port}/v1/status", headers={"Host": plan.console_host})
    finally:
        await caddy.stop()
    assert answer.status_code == 503
    assert answer.json()["code"] == "gate_away"
    assert answer.headers["retry-after"] == "5"


# --- what can't be ----------------------------------------------------------------------------------------------------


def files_plan(run: Path, cert: Path, key: Path) -> EdgePlan:
    tls = Tls(way=Way.FILES, port=free_port(), cert=cert, key=key)
    return EdgePlan(host="127.0.0.1", port=free_port(), run=run, wake_deadline_s=1, tls=tls)


async def test_files_that_caddy_could_not_use_are_refused_in_words(run: Path, tmp_path: Path) -> None:
    cert, key, other = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "other.pem"
    write_pair(cert, other, DOMAIN, lasts=timedelta(days=1))
    write_pair(cert, key, DOMAIN, lasts=timedelta(days=1))

    with pytest.raises(EdgeFault, match="can't be read: No such file") as refused:
        await Caddy(files_plan(run, tmp_path / "none.pem", key)).start()
    assert "INNKEEPER_TLS_CERT" in refused.value.hint
    with pytest.raises(EdgeFault, match="can't be read: Is a directory"):
        await Caddy(files_plan(run, cert, tmp_path)).start()
    with pytest.raises(EdgeFault, match="no certificate with its key: key values mismatch"):
        await Caddy(files_plan(run, cert, other)).start()
    key.write_text("nothing")
    with pytest.raises(EdgeFault, match="no certificate with its key"):
        await Caddy(files_plan(run, cert, key)).start()


async def test_a_module_that_caddy_lacks_is_named(run: Path) -> None:
    tls = Tls(way=Way.DNS, port=free_port(), dns="cloudflare {env.CF_API_TOKEN}", ask="http://127.0.0.1:1/edge/ask")
    plan = EdgePlan(host="127.0.0.1", port=free_port(), run=run, wake_deadline_s=1, tls=tls)

    with pytest.raises(EdgeFault, match=r"no module `dns\.providers\.cloudflare`") as refused:
        await Caddy(plan).start()
    assert "github.com/caddy-dns/cloudflare" in refused.value.hint


async def test_caddy_gets_the_variables_that_the_dns_provider_is_given_by_and_no_others(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CF_API_TOKEN", "for-caddy")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary")
    tls = Tls(way=Way.DNS, dns="cloudflare {env.CF_API_TOKEN}")
    plan = EdgePlan(host="127.0.0.1", port=free_port(), run=run, wake_deadline_s=1, tls=tls)
    asked = run / "env"
    program = run / "caddy"
    program.write_text(f"#!/bin/sh\nenv > {asked}\n")
    program.chmod(0o700)

    launch(program, plan, render(plan)).wait()

    assert "CF_API_TOKEN=for-caddy" in asked.read_text()
    assert "canary" not in asked.read_text()
    assert "for-caddy" not in (run / "Caddyfile").read_text()
    assert "dns cloudflare {env.CF_API_TOKEN}" in (run / "Caddyfile").read_text()


def write_pair(cert: Path, key: Path, host: str, *, lasts: timedelta, began: timedelta = timedelta(hours=1)) -> int:
    """A certificate that signs itself, and its key; the serial number."""
    secret = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - began)
        .not_valid_after(now + lasts)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made.serial_number
