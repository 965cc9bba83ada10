"""The edge: Caddy carries the bytes, the gate tells it for each request whether it may pass and where to."""
