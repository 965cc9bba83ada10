"""What the core needs of the world outside: each port's docstring is its contract."""

from innkeeper.core.ports.agents import Agent, ConfigFile, Consent, Entrance, Probe, Seat
from innkeeper.core.ports.courier import Afterwards, Courier, Parcel
from innkeeper.core.ports.egress import AskedNames, WaysOut
from innkeeper.core.ports.host import (
    Clock,
    Connections,
    Endpoint,
    Extent,
    HostMemory,
    MemoryNow,
    Movements,
    Moves,
    Prober,
    Seals,
    Tokens,
    Units,
)
from innkeeper.core.ports.identity import OutsideTokens, Passwords, SignIn
from innkeeper.core.ports.integrations import Integrations
from innkeeper.core.ports.keyring import DataKeys, Lockbox, Signer
from innkeeper.core.ports.messages import Load, Messages
from innkeeper.core.ports.oauth import AuthorizationServers
from innkeeper.core.ports.runtime import Blueprint, Runtime
from innkeeper.core.ports.secrets import ConfigSecrets, SecretKeeping, SecretRows, Secrets
from innkeeper.core.ports.store import LEASE_AT_MOST, LEASE_FOR, Lease, Receipt, Store, Transaction

__all__ = [
    "LEASE_AT_MOST",
    "LEASE_FOR",
    "Afterwards",
    "Agent",
    "AskedNames",
    "AuthorizationServers",
    "Blueprint",
    "Clock",
    "ConfigFile",
    "ConfigSecrets",
    "Connections",
    "Consent",
    "Courier",
    "DataKeys",
    "Endpoint",
    "Entrance",
    "Extent",
    "HostMemory",
    "Integrations",
    "Lease",
    "Load",
    "Lockbox",
    "MemoryNow",
    "Messages",
    "Movements",
    "Moves",
    "OutsideTokens",
    "Parcel",
    "Passwords",
    "Probe",
    "Prober",
    "Receipt",
    "Runtime",
    "Seals",
    "Seat",
    "SecretKeeping",
    "SecretRows",
    "Secrets",
    "SignIn",
    "Signer",
    "Store",
    "Tokens",
    "Transaction",
    "Units",
    "WaysOut",
]
