"""The options of drills."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DrillSettings(BaseSettings):
    """The settings' group "Drills"."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    drills_every_h: float = Field(default=24.0, ge=0, le=8760)
    """How often some tenant's newest snapshot is restored into a throwaway instance that reaches nobody, and started,
    in hours. Which one's, a lot decides: those that were proven longest ago are the likeliest. `0`: never; then only
    `innkeeper drill run` proves a snapshot. Each takes the processor time of a cold start, the memory of one tenant
    while it lasts, and the size of its data on the disk."""

    @property
    def drills_every(self) -> timedelta | None:
        """The same; None: never."""
        return timedelta(hours=self.drills_every_h) if self.drills_every_h else None
