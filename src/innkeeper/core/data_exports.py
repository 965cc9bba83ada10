"""A person's data as one file, before it is erased or because they ask for it: what the agent has written, and all that
is kept of the tenant, without the value of any secret. It is copied and packed as a unit's export is.
"""

from __future__ import annotations

from typing import Any

from innkeeper.core.dossier import Dossier
from innkeeper.core.exports import Exports
from innkeeper.core.operations import Operation, OperationKind
from innkeeper.core.ports import Tokens
from innkeeper.core.ports.exports import Copied, Packed, PackingList
from innkeeper.core.stillness import Still
from innkeeper.core.tenant import Tenant
from innkeeper.core.works import Tell

LEFT_OUT = "left-out"


class DataExports(Exports):
    """Begins them, carries them out, and keeps what came of them for a while."""

    kind = OperationKind.EXPORT_DATA

    def __init__(self, *, dossier: Dossier, tokens: Tokens, **shared: Any) -> None:
        super().__init__(**shared)
        self._dossier = dossier
        self._tokens = tokens

    async def _pack(
        self, operation: Operation, tenant: Tenant, still: Still, copied: Copied, image: str, tell: Tell
    ) -> Packed:
        tell.step("packing", 3, 4)
        at = self._clock.now()
        packing = PackingList(
            documents=await self._dossier.documents(tenant, at=at),
            called="data",
            conceal=dict.fromkeys(await self._credentials(tenant), LEFT_OUT),
            config_paths=self._seating.agent(tenant).config_paths(),
            secret_settings=False,
            lock=self._lock(operation, tenant),
        )
        return await self._crates.pack(operation.id, tenant.name, packing, at=at, on_bytes=lambda _: None)

    async def _credentials(self, tenant: Tenant) -> list[str]:
        """What may stand in its agent's settings."""
        own = [of(tenant.id, tenant.token_epoch) for of in (self._tokens.broker_token, self._tokens.gateway_token)]
        return [*own, *(await self._vault.everything(tenant)).values()]
