"""Cuts prompts into tokens as the library's text encoders do; must not know where their vocabularies are kept."""
