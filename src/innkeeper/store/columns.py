"""What all tables share: how constraints are called, and the types that mean the same on both databases."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData, String

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

# Compared byte by byte everywhere: a language's own order would page differently from Python's.
EXACT = String().with_variant(String(collation="C"), "postgresql")

# SQLite's own numbers have 64 bits, but only under the name INTEGER.
COUNT = BigInteger().with_variant(Integer(), "sqlite")
