"""Builds, checks and tests the web page, for the Makefile. Building needs nothing but Python to begin with."""
