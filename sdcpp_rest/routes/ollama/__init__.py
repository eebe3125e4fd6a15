"""Ollama's API as far as it draws pictures: /api/generate and its kin; must not know another dialect."""
