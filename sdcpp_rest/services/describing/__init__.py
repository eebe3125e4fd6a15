"""Describes pictures in words, with taggers, CLIP or a vision model; must not know a dialect."""
