"""SwarmUI's API below /API, and its links to pictures; must not know another dialect."""
