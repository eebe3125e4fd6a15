"""The Flask views and wire models of every dialect; must not know the engine or the database."""
