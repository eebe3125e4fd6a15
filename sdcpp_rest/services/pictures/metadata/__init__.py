"""Reads what the files of any tool say about how they were made; must not know models or decode pixels."""
