"""Addresses of other services, as far as they can be judged without asking."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

_LENGTH_LIMIT = 2000


def is_safe(url: object) -> bool:
    """Whether what goes there can't be read or changed on the way: https, or plain HTTP within this machine."""
    if not isinstance(url, str) or len(url) > _LENGTH_LIMIT or not url.isprintable() or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or "#" in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Whether that host is this machine, by its name or address alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
