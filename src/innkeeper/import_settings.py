"""The options of imports: what may be read, and how much of it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from innkeeper.core.unit_limits import IMPORT_ENTRIES_MAX


class ImportSettings(BaseSettings):
    """The settings' group "Imports"."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    import_from: list[Path] | None = Field(default=None, max_length=100)
    """The folders below which `unit import --from` may read on this host. Unset: anywhere but in the data directory,
    for an admin only, since the control plane can read more than whoever asks it. `[]`: nowhere; exports that are sent
    along are taken all the same. In the environment it is JSON: `["/srv/incoming"]`."""

    import_entries_max: int = Field(default=IMPORT_ENTRIES_MAX, ge=100, le=10_000_000)
    """How many files and folders a source may hold; the default takes whatever an export holds. The list of more than
    some ten thousand lies in a temporary file (in `/var/tmp`, or `SQLITE_TMPDIR`), about 150 bytes each."""

    import_gb_max: int = Field(default=200, ge=1, le=100_000)
    """How much a source may hold, unpacked, in GB; what an archive may unpack to is bounded by its own size, too."""
