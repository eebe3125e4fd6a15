"""Language models: connections, prompt enhancement, the assistant; must not know HTTP routes or do what it proposes."""
