"""SDCN's API, at the root and below /api/sd; must not know another dialect."""
