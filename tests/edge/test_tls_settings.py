"""What may be set of names and TLS, and what that means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from innkeeper.edge.tls import Way
from innkeeper.frontage import edge_plan
from innkeeper.settings import Settings


@pytest.mark.parametrize(
    ("said", "origin", "port", "console"),
    [
        ({}, "http://alice.localhost:8080", 8080, "http://console.localhost:8080"),
        ({"domain": "inn.localhost"}, "http://alice.inn.localhost:8080", 8080, "http://console.inn.localhost:8080"),
        ({"domain": "example.com"}, "https://alice.example.com", 80, "https://console.example.com"),
        ({"domain": "example.com", "tls": "off"}, "http://alice.example.com:8080", 8080, "http://console.example.com:8080"),
        ({"domain": "example.com", "tls": "off", "edge_port": 80}, "http://alice.example.com", 80, "http://console.example.com"),
        ({"domain": "example.com", "edge_https_port": 8443}, "https://alice.example.com:8443", 80, "https://console.example.com:8443"),
        ({"domain": "intranet", "tls": "internal"}, "https://alice.intranet", 80, "https://console.intranet"),
        ({"domain": "inn.test", "acme_ca": "https://ca.inn.test/dir"}, "https://alice.inn.test", 80, "https://console.inn.test"),
    ],
)  # fmt: skip
def test_where_tenants_and_the_console_answer(said: dict[str, Any], origin: str, port: int, console: str) -> None:
    settings = Settings(**said)

    assert settings.hosting.origin(settings.hosting.host("alice")) == origin
    assert settings.hosting.console_origin == console
    assert edge_plan(settings).port == port


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"domain": "intranet"}, "it has no dot"),
        ({"domain": "10.0.0.1"}, "it is an address"),
        ({"domain": "inn.local"}, r"names under \.local aren't public"),
        ({"domain": "inn.test", "tls": "dns", "tls_dns": "cloudflare"}, r"names under \.test aren't public"),
        ({"domain": "example.com", "tls": "files", "tls_cert": "/x"}, "both `tls_cert` and `tls_key`"),
        ({"domain": "example.com", "tls": "dns"}, "wants `tls_dns`"),
        ({"acme_ca": "ca.example.com"}, "must be a URL"),
        ({"acme_ca": 'https://ca.example.com/"'}, "must be a URL"),
        ({"acme_email": "me"}, "must be a mail address"),
        ({"public_addresses": ["example.com"]}, "does not appear to be an IPv4 or IPv6 address"),
        ({"edge_port": 0}, "greater than or equal to 1"),
    ],
)
def test_what_can_not_be_is_refused_with_what_to_do(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings(**said)


@pytest.mark.parametrize("api", ["127.0.0.1:8700", "10.0.0.1:8700"])
def test_caddy_asks_where_the_api_is(api: str) -> None:
    tls = edge_plan(Settings(domain="example.com", api=api)).tls
    assert tls is not None
    assert tls.way is Way.AUTHORITY
    assert tls.ask == f"http://{api}/edge/ask"


def test_an_api_on_all_addresses_is_asked_on_loopback() -> None:
    tls = edge_plan(Settings(domain="example.com", api="0.0.0.0:8700", acme_ca_root=Path("root.pem"))).tls
    assert tls is not None
    assert tls.ask == "http://127.0.0.1:8700/edge/ask"
    assert tls.root == Path.cwd() / "root.pem"
