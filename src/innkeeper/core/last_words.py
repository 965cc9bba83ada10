"""What an instance wrote before it ended, to be kept with its failure."""

from __future__ import annotations

from innkeeper.core.errors import RuntimeFault
from innkeeper.core.instance import Instance
from innkeeper.core.ports import Runtime
from innkeeper.core.redaction import redact

LINES_KEPT, BYTES_KEPT = 20, 4000


async def last_words(runtime: Runtime, instance: Instance) -> str:
    """Its last lines, redacted, or why there are none."""
    try:
        lines = [line.text async for line in runtime.logs(instance, tail=LINES_KEPT)]
    except RuntimeFault as fault:
        return redact(f"(they can't be read: {fault.message})")
    # Before they are cut: half a secret wouldn't be known any more.
    return redact("\n".join(lines))[-BYTES_KEPT:] or "(it wrote nothing)"
