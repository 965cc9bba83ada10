"""What the machine's own pip, npm and apt are told about registries, rewritten for the build container.

The files rendered here are mounted into the build container and never enter an image.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from innkeeper.images.problems import ToolMissing

MOUNT = "/run/innkeeper"
"""Where the build container finds the rendered files."""
BUILD = "/run/build"
"""A volume of the build container: what lies there doesn't enter the image."""

_PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
_NPM_KEYS = ("registry", "proxy", "https-proxy", "noproxy", "strict-ssl")
_CA_VARIABLES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
_CA_DEFAULT = Path("/etc/ssl/certs/ca-certificates.crt")

ENVIRONMENT: Mapping[str, str] = {
    "APT_CONFIG": f"{MOUNT}/apt.conf",
    "DEBIAN_FRONTEND": "noninteractive",
    "HOME": BUILD,
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PIP_CONFIG_FILE": f"{MOUNT}/pip.conf",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "NODE_EXTRA_CA_CERTS": f"{MOUNT}/ca.pem",
    "NPM_CONFIG_USERCONFIG": f"{MOUNT}/npmrc",
    "NPM_CONFIG_CACHE": f"{BUILD}/npm",
    "NPM_CONFIG_UPDATE_NOTIFIER": "false",
}
"""The environment of every step: it points at the rendered files and holds no value of theirs."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where this machine keeps its settings; tests point it at fixtures."""

    environ: Mapping[str, str]
    home: Path
    etc: Path

    def write(self, folder: Path, *, sources_list: str) -> None:
        """Render all files into `folder`, readable for the container's users only through its mount."""
        files = {
            "ca.pem": self._authorities(),
            "pip.conf": self.pip_conf(),
            "npmrc": self.npmrc(),
            "apt.conf": self.apt_conf(),
            "sources.list": sources_list,
        }
        for name, text in files.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o644)

    def pip_conf(self) -> str:
        """pip's settings about indexes: files first, then the environment, as pip itself weighs them."""
        values: dict[str, str] = {}
        for file in self._pip_files():
            parser = configparser.RawConfigParser()
            parser.read(file)
            for section in ("global", "install"):
                if parser.has_section(section):
                    values |= {key: value for key, value in parser.items(section) if key in _PIP_KEYS}
        for key in _PIP_KEYS:
            if from_environ := self.environ.get("PIP_" + key.upper().replace("-", "_")):
                values[key] = from_environ
        if proxy := self._proxy("https"):
            values.setdefault("proxy", proxy)
        if "extra-index-url" in values:  # folders of this machine aren't there in the container
            urls = [url for url in values["extra-index-url"].split() if not url.startswith("file:")]
            values["extra-index-url"] = "\n    ".join(urls)
        lines = [f"{key} = {value}" for key, value in values.items() if value]
        return "\n".join(["[global]", f"cert = {MOUNT}/ca.pem", *lines]) + "\n"

    def npmrc(self) -> str:
        """npm's settings about registries, with their scopes and logins."""
        values: dict[str, str] = {}
        for file in (self.etc / "npmrc", self.home / ".npmrc"):
            for line in file.read_text().splitlines() if file.is_file() else ():
                key, equals, value = (part.strip() for part in line.partition("="))
                if equals and (key in _NPM_KEYS or key.startswith("//") or key.endswith(":registry")):
                    values[key] = value
        for key in _NPM_KEYS:
            if from_environ := self._env("npm_config_" + key.replace("-", "_")):
                values[key] = from_environ
        if proxy := self._proxy("https"):
            values.setdefault("https-proxy", proxy)
        return "".join(f"{key}={value}\n" for key, value in {**values, "cafile": f"{MOUNT}/ca.pem"}.items())

    def apt_conf(self) -> str:
        """apt's proxies, authorities and sources; nothing recommended, no translations."""
        proxies = [
            f'Acquire::{scheme}::Proxy "{proxy}";\n' for scheme in ("http", "https") if (proxy := self._proxy(scheme))
        ]
        return "".join(
            [
                *proxies,
                f'Acquire::https::CaInfo "{MOUNT}/ca.pem";\n',
                'Acquire::Languages "none";\n',
                'Acquire::Retries "3";\n',
                'APT::Install-Recommends "false";\n',
                f'Dir::Etc::SourceList "{MOUNT}/sources.list";\n',
                'Dir::Etc::SourceParts "/dev/null";\n',
            ]
        )

    def _authorities(self) -> str:
        named = [Path(value) for name in _CA_VARIABLES if (value := self.environ.get(name))]
        bundle = next((path for path in (*named, _CA_DEFAULT) if path.is_file()), None)
        if bundle is None:
            raise ToolMissing(
                "This machine has no bundle of certificate authorities.",
                hint="Install one: apt-get install ca-certificates.",
            )
        return bundle.read_text()

    def _pip_files(self) -> list[Path]:
        named = self.environ.get("PIP_CONFIG_FILE")
        files = [
            self.etc / "pip.conf",
            self.home / ".pip" / "pip.conf",
            self.home / ".config" / "pip" / "pip.conf",
            *([Path(named)] if named else []),
        ]
        return [file for file in files if file.is_file()]

    def _proxy(self, scheme: str) -> str | None:
        return self._env(f"{scheme}_proxy")

    def _env(self, name: str) -> str | None:
        return self.environ.get(name) or self.environ.get(name.upper())
