"""/v1/tenants/{name}/hostnames: do a tenant's own hostnames point here?"""

from __future__ import annotations

from fastapi import APIRouter

from innkeeper.api.admission import needs
from innkeeper.api.deps import TheInn
from innkeeper.api.schema import Document, ItemsOf
from innkeeper.api.tenants import Name
from innkeeper.core.access import Action

router = APIRouter(prefix="/tenants/{name}/hostnames", tags=["tenants"])


class HostnameDocument(Document):
    """Where one of a tenant's own hostnames leads."""

    hostname: str
    points_here: bool | None
    """Whether all of its addresses are ours; only then it gets a certificate. Null: nobody looks."""
    addresses: list[str]
    """What it resolves to."""
    expected: list[str]
    """The addresses of this house."""
    says: str
    """What to do, or that all is well."""


class HostnamePage(ItemsOf[HostnameDocument]):
    """A tenant's own hostnames."""


@router.get("", summary="Look where hostnames point")
@needs(Action.LOOK)
async def index(name: Name, inn: TheInn) -> HostnamePage:
    """The tenant's own hostnames, looked up in DNS unless that was done within the last minute."""
    found = await inn.names.hostnames(await inn.control.tenant(name))
    return HostnamePage(items=[HostnameDocument(**vars(each)) for each in found])
