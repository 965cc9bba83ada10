"""How much a unit may hold to be taken elsewhere: what an export writes, an import takes by default."""

from __future__ import annotations

ENTRIES_MAX = 1_000_000
"""Files, folders and links in a tenant's data that an export takes …"""
IMPORT_ENTRIES_MAX = ENTRIES_MAX + 1000
"""… and in a source that is imported: an export holds some more of its own beside the data."""

DEPTH_MAX, PATH_MAX_BYTES = 60, 1900
"""What lies deeper, or has a longer path, is left out of an export and told …"""
IMPORT_DEPTH_MAX, IMPORT_PATH_MAX_BYTES = DEPTH_MAX + 4, PATH_MAX_BYTES + 148
"""… for in it two folders lie above, and their names are in each path."""

LINK_MAX_BYTES = 4095
"""Where a link may lead, by Linux."""
