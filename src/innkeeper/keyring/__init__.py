"""The keyring: what tenants' secrets and tokens hang on, in files of 0600, and the first admin token."""

from innkeeper.keyring.admin import admin_token
from innkeeper.keyring.faults import KeyDestroyed, KeyringFault
from innkeeper.keyring.masters import MasterKey
from innkeeper.keyring.ring import Keyring

__all__ = ["KeyDestroyed", "Keyring", "KeyringFault", "MasterKey", "admin_token"]
