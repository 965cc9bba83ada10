"""The distribution's own mirror is found among whatever else apt reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from innkeeper.images.problems import NoMirror
from innkeeper.images.sources import Entry, distribution, parse_deb822, parse_one_line

DEBIAN = """\
Types: deb deb-src
# a comment between the fields
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""

FOREIGN = """\
Types: deb
URIs: https://deb.nodes.example/node_24.x
Suites: nodistro
Components: main
Signed-By: /usr/share/keyrings/nodes.gpg

Types: deb
URIs: https://pkgs.tunnel.example/stable/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/tunnel-archive-keyring.gpg

Types: deb
URIs: https://download.whales.example/linux/debian
Suites: bookworm
Components: stable
"""


def machine(tmp_path: Path, *, codename: str = "bookworm", **files: str) -> Path:
    """An /etc with these apt sources; a double underscore in a name stands for its dot."""
    parts = tmp_path / "apt" / "sources.list.d"
    parts.mkdir(parents=True)
    (tmp_path / "os-release").write_text(f'ID=debian\nVERSION_CODENAME="{codename}"\n')
    for name, text in files.items():
        folder = tmp_path / "apt" if name == "sources__list" else parts
        (folder / name.replace("__", ".")).write_text(text)
    return tmp_path


def test_stanzas(tmp_path: Path) -> None:
    host = distribution(machine(tmp_path, a_foreign__sources=FOREIGN, debian__sources=DEBIAN))
    assert (host.suite, host.mirror) == ("bookworm", "http://mirror.example/debian")
    assert host.as_sources_list() == (
        "deb http://mirror.example/debian bookworm main contrib\n"
        "deb http://mirror.example/debian bookworm-updates main contrib\n"
        "deb http://mirror.example/debian-security bookworm-security main\n"
    )


def test_one_line_entries(tmp_path: Path) -> None:
    text = """
    # deb http://commented.example/ubuntu noble main
    deb http://archive.example/ubuntu/ noble main universe # trailing words
    deb-src http://archive.example/ubuntu/ noble main
    deb [arch=amd64 signed-by=/etc/apt/keyrings/other.gpg] https://other.example/ubuntu noble main
    deb http://security.example/ubuntu/ noble-security main universe
    """
    host = distribution(machine(tmp_path, codename="noble", sources__list=text))
    assert host.mirror == "http://archive.example/ubuntu/"
    assert [entry.suite for entry in host.entries] == ["noble", "noble-security"]


def test_an_entry_signed_by_the_distribution_goes_before_one_that_says_nothing(tmp_path: Path) -> None:
    unsigned = "deb http://who-knows.example/debian bookworm main\n"
    host = distribution(machine(tmp_path, a__list=unsigned, debian__sources=DEBIAN))
    assert host.mirror == "http://mirror.example/debian"


def test_a_mirror_kept_in_a_file(tmp_path: Path) -> None:
    mirrors = tmp_path / "debian.list"
    mirrors.write_text("https://cdn.example/debian\npriority:2\n")
    text = DEBIAN.replace("http://mirror.example/debian\n", f"mirror+file:{mirrors}\n")
    assert distribution(machine(tmp_path, debian__sources=text)).mirror == "https://cdn.example/debian"


@pytest.mark.parametrize(
    "text",
    [
        "",
        FOREIGN,
        DEBIAN.replace("bookworm", "trixie"),
        DEBIAN.replace("Types: deb", "Enabled: no\nTypes: deb"),
        DEBIAN.replace("http://", "http://name:word@"),  # a password would end up in a process list
        DEBIAN.replace("http://mirror.example", "cdrom:[disc]"),
    ],
)
def test_no_mirror_is_an_error_with_a_hint(tmp_path: Path, text: str) -> None:
    with pytest.raises(NoMirror) as caught:
        distribution(machine(tmp_path, debian__sources=text))
    assert caught.value.hint


def test_another_system_is_told_what_would_do(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text("ID=arch\n")
    with pytest.raises(NoMirror, match="os-release"):
        distribution(tmp_path)


def test_other_files_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(NoMirror):
        distribution(machine(tmp_path, debian__sources__disabled=DEBIAN))


def test_a_folded_key_doesnt_confuse_the_fields_after_it() -> None:
    key = "Signed-By:\n -----BEGIN PGP-----\n .\n x: y\n"
    [entry] = parse_deb822(f"Types: deb\nURIs: http://a.example/\n{key}Suites: s\nComponents: main\n")
    assert (entry.uri, entry.suite, entry.components) == ("http://a.example/", "s", ("main",))
    assert "BEGIN PGP" in (entry.signed_by or "")


def test_options_of_a_line() -> None:
    [entry] = parse_one_line("deb [ arch=amd64 signed-by=/k.gpg ] http://a.example/ s main contrib")
    assert entry == Entry(uri="http://a.example/", suite="s", components=("main", "contrib"), signed_by="/k.gpg")
