"""Checks what was asked for and makes a job of it; must not know HTTP or how a job is run."""
