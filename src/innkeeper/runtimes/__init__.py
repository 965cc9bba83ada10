"""Where instances run: the Docker Engine, and memory for tests and measurements."""
