"""Engines on other machines: carries their messages and files, and finds their models there; must not know jobs."""
