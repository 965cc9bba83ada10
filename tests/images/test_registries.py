"""The machine's settings about registries reach the build container, in files, and nothing else of it does."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from innkeeper.images.problems import ToolMissing
from innkeeper.images.registries import ENVIRONMENT, Machine


def machine(tmp_path: Path, **environ: str) -> Machine:
    (tmp_path / "etc").mkdir(exist_ok=True)
    (tmp_path / "home").mkdir(exist_ok=True)
    return Machine(environ=environ, home=tmp_path / "home", etc=tmp_path / "etc")


def pip_settings(text: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    assert parser.sections() == ["global"]
    return dict(parser["global"])


def test_a_plain_machine(tmp_path: Path) -> None:
    plain = machine(tmp_path)
    assert pip_settings(plain.pip_conf()) == {"cert": "/run/innkeeper/ca.pem"}
    assert plain.npmrc() == "cafile=/run/innkeeper/ca.pem\n"
    assert "Proxy" not in plain.apt_conf()


def test_pips_files_and_environment_are_weighed_as_pip_does(tmp_path: Path) -> None:
    host = machine(tmp_path, PIP_INDEX_URL="https://env.example/simple")
    (tmp_path / "etc" / "pip.conf").write_text("[global]\nindex-url = https://etc.example\ntimeout = 5\nuser = yes\n")
    (tmp_path / "home" / ".pip").mkdir()
    (tmp_path / "home" / ".pip" / "pip.conf").write_text("[install]\ntimeout = 60\ntrusted-host = a b\n")
    assert pip_settings(host.pip_conf()) == {
        "cert": "/run/innkeeper/ca.pem",
        "index-url": "https://env.example/simple",
        "timeout": "60",
        "trusted-host": "a b",
    }


def test_folders_of_this_machine_are_no_index_inside_a_container(tmp_path: Path) -> None:
    host = machine(tmp_path, PIP_EXTRA_INDEX_URL="file:///opt/simple https://one.example file:///x https://two.example")
    assert pip_settings(host.pip_conf())["extra-index-url"].split() == ["https://one.example", "https://two.example"]
    assert "extra" not in machine(tmp_path, PIP_EXTRA_INDEX_URL="file:///opt/simple").pip_conf()


def test_npm_keeps_registries_and_logins_and_drops_the_rest(tmp_path: Path) -> None:
    host = machine(tmp_path, npm_config_strict_ssl="true")
    (tmp_path / "home" / ".npmrc").write_text(
        "registry = https://npm.example/\n//npm.example/:_authToken=abc=\n@us:registry=https://us.example/\n"
        "cafile=/elsewhere.pem\nprefix=/root/npm\n; a comment\n"
    )
    assert host.npmrc().splitlines() == [
        "registry=https://npm.example/",
        "//npm.example/:_authToken=abc=",
        "@us:registry=https://us.example/",
        "strict-ssl=true",
        "cafile=/run/innkeeper/ca.pem",
    ]


def test_a_proxy_reaches_all_three(tmp_path: Path) -> None:
    host = machine(tmp_path, https_proxy="http://proxy.example:3128", HTTP_PROXY="http://proxy.example:3129")
    assert pip_settings(host.pip_conf())["proxy"] == "http://proxy.example:3128"
    assert "https-proxy=http://proxy.example:3128\n" in host.npmrc()
    assert 'Acquire::http::Proxy "http://proxy.example:3129";\n' in host.apt_conf()


def test_all_is_written_where_only_the_mount_shows_it(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\n")
    settings = tmp_path / "settings"
    settings.mkdir()
    machine(tmp_path, SSL_CERT_FILE=str(bundle)).write(settings, sources_list="deb x y z\n")
    assert sorted(file.name for file in settings.iterdir()) == [
        "apt.conf", "ca.pem", "npmrc", "pip.conf", "sources.list",
    ]  # fmt: skip
    assert (settings / "ca.pem").read_text() == bundle.read_text()


def test_no_authorities_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("innkeeper.images.registries._CA_DEFAULT", tmp_path / "missing")
    with pytest.raises(ToolMissing, match="authorities"):
        machine(tmp_path).write(tmp_path, sources_list="")


def test_the_containers_environment_holds_no_value_of_the_machines() -> None:
    assert all("://" not in value and "token" not in value.lower() for value in ENVIRONMENT.values())
