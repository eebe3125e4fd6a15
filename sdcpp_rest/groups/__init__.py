"""Builds every service once, in the groups that the runtime offers; must not know Flask or sockets."""
