"""Native views about prompts: styles, presets, wildcards, and what becomes of a prompt; must not know other rooms of
views.
"""
