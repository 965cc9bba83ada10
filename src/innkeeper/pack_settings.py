"""The options of packs: who gets which, and when."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from innkeeper.core.errors import Problem
from innkeeper.core.packs import checked_packs


class PackSettings(BaseSettings):
    """The settings' group "Packs"."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    packs: dict[str, list[str]] = {}
    """The packs that every tenant of an agent gets, by the agent's name: `core` in its newest version, `core@3` in that
    one, `image:/opt/core` from that folder of the agent's image. In TOML: `[packs]`, `openclaw = ["core"]`. Plans add
    theirs (`packs` in `plans`), tenants their own; where files have the same path, the later pack's count."""

    hydrate: Literal["auto", "manual"] = "auto"
    """When new versions of packs are delivered: `auto` at a tenant's next start, which is safe, for what it has changed
    stays; `manual` only by `innkeeper unit hydrate`. An empty workspace is filled at the first start either way."""

    pack_mb: int = Field(default=64, ge=1, le=1024)
    """The largest pack that is taken, in MB, as it is uploaded and unpacked. Texts are some kB each; what is larger
    than this is a data set, and better fetched by the agent itself."""

    @field_validator("packs")
    @classmethod
    def _whole_packs(cls, said: dict[str, list[str]]) -> dict[str, list[str]]:
        for agent, each in said.items():
            try:
                checked_packs(each, f"packs.{agent}")
            except Problem as problem:
                raise ValueError(f"{problem.field}: {problem.message} {problem.hint}".strip()) from None
        return said
