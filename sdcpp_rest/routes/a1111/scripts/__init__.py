"""AUTOMATIC1111's own scripts, each over one round of pictures; must not know the engine or another dialect."""
