"""The broker: agents call models here with a token of their own; the provider's real key is put on outside of them."""
