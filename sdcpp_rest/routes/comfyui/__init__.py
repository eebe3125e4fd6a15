"""ComfyUI's API at the root and below /api, for common graphs; must not know another dialect."""
