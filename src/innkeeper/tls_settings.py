"""The options of names and TLS: where certificates come from, and which hostnames may have one."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class TlsSettings(BaseSettings):
    """The settings' group "Names and TLS"."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    tls: Literal["auto", "off", "internal", "files", "dns"] = "auto"
    """Where certificates come from. `auto`: from an ACME authority, for each host at its first request; for the domain
    `localhost` and those below it: none, plain HTTP. `dns`: one for `*.DOMAIN` by a DNS challenge (`tls_dns`), the
    tenants' own hostnames as with `auto`. `files`: your own (`tls_cert`, `tls_key`). `internal`: from Caddy's own
    authority, for networks whose browsers you can make trust it. `off`: plain HTTP."""

    tls_cert: Path | None = None
    """With `tls` `files`: the certificate and those between it and its authority, in PEM. It is read anew within a
    minute of a change."""

    tls_key: Path | None = None
    """With `tls` `files`: the certificate's private key, in PEM, without a passphrase."""

    tls_dns: str | None = None
    """With `tls` `dns`: what follows `dns` in a Caddyfile, like `cloudflare {env.CF_API_TOKEN}`. Give secrets by
    `{env.NAME}` only: Caddy gets the variables that are named here, and no others. Wants a `caddy_binary` with the
    provider's module."""

    acme_ca: str | None = None
    """The URL of the ACME authority's directory. Unset: Let's Encrypt's, and with `acme_email` ZeroSSL's after it."""

    acme_ca_root: Path | None = None
    """A root certificate in PEM that the authority's own HTTPS is checked against, for one within your network. Unset:
    the system's."""

    acme_email: str | None = None
    """Where the authority writes to when something is wrong with a certificate. Unset: nowhere."""

    hsts_s: int = Field(default=0, ge=0)
    """For how long browsers that were here once shall insist on HTTPS, in seconds (`Strict-Transport-Security`). 0: not
    at all, since there is no way back until that time is over; 31536000 once all is well."""

    hostnames_check: Literal["dns", "off"] = "dns"
    """Whether a tenant's own hostname gets a certificate only if it points here by DNS. `off`: always, for where the
    names resolve to something in front; each name that doesn't lead here then costs the authority's patience."""

    public_addresses: list[str] = []
    """The addresses at which the public reaches this edge. Empty: those that `console.DOMAIN` resolves to."""

    @field_validator("public_addresses")
    @classmethod
    def _addresses(cls, addresses: list[str]) -> list[str]:
        return [str(ipaddress.ip_address(address.strip("[] "))) for address in addresses]

    @field_validator("acme_ca")
    @classmethod
    def _directory_url(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"https?://[^\s\"`{}\\]+", url):
            raise ValueError("must be a URL like `https://acme.example.com/directory`")
        return url

    @field_validator("acme_email")
    @classmethod
    def _mail_address(cls, mail: str | None) -> str | None:
        if mail is not None and not re.fullmatch(r"[^\s@\"`{}\\]+@[^\s@\"`{}\\]+", mail):
            raise ValueError("must be a mail address")
        return mail
