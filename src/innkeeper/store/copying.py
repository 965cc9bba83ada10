"""A copy of the whole database at one moment, taken while it is in use, and put back while it isn't."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, make_url

from innkeeper.core.errors import Conflict, DiskFull, StoreUnavailable
from innkeeper.store.migrate import newest

SQLITE, POSTGRESQL, ABOUT = "innkeeper.db", "innkeeper.pgdump", "about.json"
PAGES_AT_ONCE = 1000
ASIDE = ".before-restore"
_WITHIN_S = 3600.0


class DatabaseCopies:
    """Copies of the database at a URL: the core's `ControlCopies`."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)

    @property
    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    async def copy(self, into: Path) -> None:
        """By SQLite's own backup, or by pg_dump in its custom format."""
        about = {"format": 1, "kind": self._url.get_backend_name(), "tables": newest()}
        if self._is_sqlite:
            await asyncio.to_thread(_copy_sqlite, Path(self._url.database or ""), into / SQLITE)
        else:
            # As the writer's name has it, and no owners: it comes back under whoever restores it.
            arguments = ["--format=custom", "--no-owner", "--no-privileges", f"--file={into / POSTGRESQL}"]
            await self._run("pg_dump", arguments)
        await asyncio.to_thread((into / ABOUT).write_text, json.dumps(about))

    async def put_back(self, copy: Path) -> str:
        """Put a copy in the database's place; what was there is kept aside, or has to be empty. Where it is now.

        Only for a control plane that doesn't run. Conflict where it is the copy of another kind of database.
        """
        about = json.loads(await asyncio.to_thread((copy / ABOUT).read_text))
        if about["kind"] != self._url.get_backend_name():
            raise Conflict(
                f"The copy is of {about['kind']}, and the settings name {self._url.get_backend_name()}.",
                hint="Set INNKEEPER_DATABASE_URL to a database of that kind, or unset it.",
            )
        if self._is_sqlite:
            return await asyncio.to_thread(_put_sqlite_back, copy / SQLITE, Path(self._url.database or ""))
        name = self._url.database or ""
        arguments = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", f"--dbname={name}"]
        await self._run("pg_restore", [*arguments, str(copy / POSTGRESQL)])
        return f"database {name}"

    async def _run(self, program: str, arguments: Sequence[str]) -> None:
        found = shutil.which(program)
        if found is None:
            raise StoreUnavailable(
                f"{program} isn't on this host.",
                hint="Install PostgreSQL's client: `apt-get install postgresql-client`.",
            )
        run = await asyncio.create_subprocess_exec(
            found, *arguments, env=_environment(self._url), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_WITHIN_S):
                _, said = await run.communicate()
        except TimeoutError:
            raise StoreUnavailable(f"{program} took more than {_WITHIN_S:.0f} s.") from None
        finally:
            if run.returncode is None:
                run.kill()
                await run.wait()
        if run.returncode:
            last = said.decode(errors="replace").strip().splitlines()[-1:]
            raise StoreUnavailable(f"{program} failed: {''.join(last)[:300]}")


def _environment(url: URL) -> dict[str, str]:
    """What libpq reads: never on the command line, where everybody could."""
    told = {
        "PGHOST": url.host,
        "PGPORT": None if url.port is None else str(url.port),
        "PGUSER": url.username,
        "PGPASSWORD": None if url.password is None else str(url.password),
        "PGDATABASE": url.database,
        "PGOPTIONS": _option(url, "options"),
        "PGSSLMODE": _option(url, "sslmode"),
        "PGSSLROOTCERT": _option(url, "sslrootcert"),
        "PGHOSTADDR": _option(url, "hostaddr"),
        "PGCONNECT_TIMEOUT": "10",
    }
    if (host := _option(url, "host")) is not None:
        told["PGHOST"] = host
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {name: value for name, value in told.items() if value is not None}


def _option(url: URL, name: str) -> str | None:
    value = url.query.get(name)
    return value if isinstance(value, str) else None


def _copy_sqlite(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            reading.backup(writing, pages=PAGES_AT_ONCE)
            writing.execute("PRAGMA journal_mode = DELETE")  # so that it is one file
            said = writing.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        if "full" in str(error):
            raise DiskFull(f"The disk is full: {target} could not be written.") from error
        raise StoreUnavailable(f"The database couldn't be copied: {error}.") from error
    if said != ("ok",):
        raise StoreUnavailable(f"The copy of the database isn't whole: {said}.", hint="Look at the disk below it.")


def _put_sqlite_back(copy: Path, place: Path) -> str:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = place.with_name(place.name + ".restored")
    shutil.copyfile(copy, fresh)
    fresh.chmod(0o600)
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    # The log first: one that is left would be taken for the restored file's.
    for end in ("-wal", "-shm", ""):
        old = place.with_name(place.name + end)
        if old.exists():
            old.replace(place.with_name(place.name + ASIDE + end))
    fresh.replace(place)
    return str(place)
