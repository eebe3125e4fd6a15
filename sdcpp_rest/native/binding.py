"""Imports the Python binding of the native library, as little of it as is used. Importing it loads the library."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

BINDING = "stable_diffusion_cpp_python"
"""Its name as a distribution."""
_PACKAGE = "stable_diffusion_cpp"


def import_binding() -> Any:
    """Import the binding's ctypes layer alone: its package would import Pillow, for a class that nobody here uses.
    Raises ImportError, OSError or RuntimeError."""
    layer = f"{_PACKAGE}.stable_diffusion_cpp"
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or _PACKAGE in sys.modules:
        return importlib.import_module(layer)
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(layer)
    finally:
        # Who wants the whole package gets it.
        del sys.modules[_PACKAGE]
