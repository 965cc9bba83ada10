"""The tenants' name server: what a watched tenant asks of any name server comes here."""
