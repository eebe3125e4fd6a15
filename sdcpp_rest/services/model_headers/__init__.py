"""Reads model files' headers and tells what they are; must not know the catalogue or load anything."""
