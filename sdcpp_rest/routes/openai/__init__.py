"""OpenAI's images API; must not know another dialect."""
