"""Inputs that harm: the ones that are known to end or hang the library, and broken ones from a seed; how each dialect
carries them, and what counts as a clear answer."""
