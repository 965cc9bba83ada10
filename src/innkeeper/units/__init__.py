"""The unit: a tenant's folder on the host."""
