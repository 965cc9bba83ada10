"""What the product means: no framework, no driver, no SQL."""
