"""Fixtures that every room's tests may use."""

from __future__ import annotations

from pathlib import Path

import pytest

import sdcpp_rest.errors

PACKAGE = Path(sdcpp_rest.errors.__file__).resolve().parent


@pytest.fixture(scope="session")
def demo_folder() -> Path:
    """The demo model's folder inside the package, one sub-folder per model type."""
    return PACKAGE / "demo"
