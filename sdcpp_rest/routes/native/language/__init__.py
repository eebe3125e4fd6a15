"""Native views about language models: prompt enhancement and the assistant; must not know HTTP beyond their own
routes.
"""
