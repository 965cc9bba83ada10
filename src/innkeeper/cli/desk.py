"""What every command starts from: the settings, and with them a client of the right control plane."""

from __future__ import annotations

import os
import tomllib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from innkeeper.cli.exits import Stop, failed, wrong_usage

if TYPE_CHECKING:  # imported where they are used, so that `--help` is quick
    from pydantic import ValidationError

    from innkeeper.cli.client import Client
    from innkeeper.settings import Settings


class Desk:
    """One run of the command line."""

    def __init__(self, *, config: Path | None) -> None:
        self.config = config

    @cached_property
    def settings(self) -> Settings:
        """The settings, or a sentence about what is wrong with them."""
        from pydantic import ValidationError

        from innkeeper.settings import Settings

        try:
            return Settings.load(self.config)
        except FileNotFoundError as error:
            raise wrong_usage(str(error)) from None
        except tomllib.TOMLDecodeError as error:
            raise wrong_usage(f"{self.config} isn't TOML: {error}.") from None
        except ValidationError as error:
            raise _wrong_settings(error) from None

    @cached_property
    def client(self) -> Client:
        """A client with the token of INNKEEPER_TOKEN, else that of the data directory, if it may be read."""
        from innkeeper.cli.client import Client

        return Client(api=self.settings.api, token=os.environ.get("INNKEEPER_TOKEN") or self._admin_token())

    def _admin_token(self) -> str | None:
        file = self.settings.data / "admin-token"
        try:
            return file.read_text().strip()
        except FileNotFoundError:
            return None  # whoever answers will say that a token is needed
        except OSError as error:
            raise failed(
                "unreadable_token",
                f"The admin token in {file} can't be read: {error.strerror}.",
                "Run this as the user that Innkeeper runs as, or set INNKEEPER_TOKEN.",
            ) from error


def _wrong_settings(error: ValidationError) -> Stop:
    found = error.errors(include_input=False, include_url=False)[0]
    name = ".".join(map(str, found["loc"]))
    where = f"INNKEEPER_{name.upper()} or the file of --config" if name else "INNKEEPER_* or the file of --config"
    said = found["msg"].removeprefix("Value error, ").rstrip(".")
    return wrong_usage(
        f"The setting `{name}` doesn't hold: {said}." if name else f"The settings don't hold: {said}.",
        hint=f"Look at {where}; see docs/reference/settings.md.",
    )
