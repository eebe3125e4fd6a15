"""Applies presets to the parameters of a request."""

from __future__ import annotations

from sdcpp_rest.routes.swarmui.parameter_reading import Given, Lists


def apply_presets(given: Given, titles: list[str], lists: Lists) -> None:
    """Put the values of the named presets over ``given``, in their order."""
