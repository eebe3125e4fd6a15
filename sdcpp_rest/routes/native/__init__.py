"""The native API; must not know another dialect."""
