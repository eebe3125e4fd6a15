"""Runs loads and jobs on the engine, one at a time; must not know who asked for them."""
