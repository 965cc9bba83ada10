"""Finds out who somebody is: passwords, tokens of an outside issuer, sign-in at an identity provider."""
