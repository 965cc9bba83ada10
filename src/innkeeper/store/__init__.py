"""Where the core's `Store` port is held: in memory, in SQLite and in PostgreSQL."""
