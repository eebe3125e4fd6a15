"""Makes the tables of docs/model-files.md and docs/troubleshooting.md: which LoRA has which effect, which file fits
which family, and what the server answers to common mistakes. All of it comes from running code and synthetic files.
"""
