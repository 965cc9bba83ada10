"""Measures Innkeeper beside its peers and the bare floor, all in one run; never part of the product."""
