"""The driver of authorization servers: OAuth 2, as a client speaks it."""
