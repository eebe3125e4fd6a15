"""The language of prompts: random words, wildcards, variables, LoRAs, presets; must not know where those are kept."""
