"""The Linux host: what it offers, what is wrong with it."""
