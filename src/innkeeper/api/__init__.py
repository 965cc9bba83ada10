"""The public API over HTTP: a thin skin over the core's use cases."""
