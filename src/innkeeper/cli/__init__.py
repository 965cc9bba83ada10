"""The command line: a client of the public API and nothing else, apart from `serve` and a doctor for the worst case."""
