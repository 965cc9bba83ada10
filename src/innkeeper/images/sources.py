"""Finds the distribution's own mirror in a machine's apt sources, for debootstrap and for apt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from innkeeper.images.problems import NoMirror

_KEYRINGS = ("debian-archive-keyring", "ubuntu-archive-keyring")
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One suite of one mirror."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """The suite to build from, the mirror that has it, and all that apt should know of besides."""

    suite: str
    mirror: str
    entries: tuple[Entry, ...]

    def as_sources_list(self) -> str:
        """The entries in apt's one-line form."""
        return "".join(f"deb {entry.uri} {entry.suite} {' '.join(entry.components)}\n" for entry in self.entries)


def distribution(etc: Path) -> Distribution:
    """What the machine below `etc` (normally /etc) runs itself and where it gets it from, or NoMirror."""
    suite = _codename((etc / "os-release").read_text())
    entries = _own(read(etc / "apt"), suite=suite)
    mirror = next((entry.uri for entry in entries if entry.suite == suite), None)
    if mirror is None:
        raise NoMirror(f"No apt source of this machine offers the suite {suite!r} signed by its distribution.")
    return Distribution(suite=suite, mirror=mirror, entries=entries)


def read(etc_apt: Path) -> list[Entry]:
    """All binary sources that apt would read, in its order."""
    files = [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]
    entries: list[Entry] = []
    for file in files:
        if not file.is_file():
            continue
        if file.suffix == ".sources":
            entries += parse_deb822(file.read_text())
        elif file.suffix == ".list":
            entries += parse_one_line(file.read_text())
    return [resolved for entry in entries if (resolved := _resolve(entry))]


def parse_one_line(text: str) -> list[Entry]:
    """Sources in the form `deb [options] uri suite component…`."""
    entries = []
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        if match:
            options = dict(option.partition("=")[::2] for option in (match["options"] or "").split())
            entries.append(
                Entry(
                    uri=match["uri"],
                    suite=match["suite"],
                    components=tuple(match["components"].split()),
                    signed_by=options.get("signed-by"),
                )
            )
    return entries


def parse_deb822(text: str) -> list[Entry]:
    """Sources in the form of stanzas."""
    entries = []
    for stanza in _stanzas(text):
        if "deb" not in stanza.get("types", "").split() or stanza.get("enabled", "yes").lower() in {"no", "false"}:
            continue
        entries += [
            Entry(
                uri=uri,
                suite=suite,
                components=tuple(stanza.get("components", "").split()),
                signed_by=stanza.get("signed-by"),
            )
            for uri in stanza.get("uris", "").split()
            for suite in stanza.get("suites", "").split()
        ]
    return entries


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    for block in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and name:
                fields[name] += "\n" + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields:
            yield fields


def _resolve(entry: Entry) -> Entry | None:
    """The entry with a real address; None if apt alone could use it, or if it carries a password."""
    uri = entry.uri
    if uri.startswith("mirror+file:"):  # cloud images keep their mirrors in a file
        listed = Path(uri.removeprefix("mirror+file:"))
        lines = listed.read_text().split() if listed.is_file() else []
        uri = next((word for word in lines if word.startswith("http")), "")
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or "@" in parts.netloc or not entry.components:
        return None
    return Entry(uri=uri, suite=entry.suite, components=entry.components, signed_by=entry.signed_by)


def _own(entries: list[Entry], *, suite: str) -> tuple[Entry, ...]:
    """The distribution's entries for `suite` and its updates; repositories of others use their own keys."""
    suites = {suite, f"{suite}-updates", f"{suite}-security"}
    ours = [
        entry
        for entry in entries
        if entry.suite in suites
        and "main" in entry.components
        and (entry.signed_by is None or any(keyring in entry.signed_by for keyring in _KEYRINGS))
    ]
    return tuple(sorted(ours, key=lambda entry: entry.signed_by is None))


def _codename(os_release: str) -> str:
    match = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', os_release, re.MULTILINE)
    if match is None:
        raise NoMirror(
            "This machine's /etc/os-release names no Debian or Ubuntu suite.",
            hint="Build on Debian 12 or newer or Ubuntu 24.04 or newer, or pull images from a registry.",
        )
    return match[1]
