"""The layouts of other systems, each read by a file of its own."""
