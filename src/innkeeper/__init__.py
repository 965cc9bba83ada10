"""Innkeeper: an AI agent for every customer, from one control plane."""
