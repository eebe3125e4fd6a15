"""Checks a model whose numbers and scales lie apart before its values are restored.

Headers and small descriptions only; the engine reads the numbers. Knows no folders.
"""

from __future__ import annotations

import os

from sdcpp_rest.core.paired_formats import describe_paired, obstacle_to_conversion
from sdcpp_rest.engine.paired_weights import Restoration, plan_restoration
from sdcpp_rest.services.model_headers.inspection import Inspection, NotAModel


def inspect_paired(inspected: Inspection) -> Restoration | None:
    """How the values of a file are restored; ``None`` where every tensor stands for itself. Raises NotAModel, naming
    the format or the tensor that stands in the way."""
    if not inspected.paired_format:
        return None
    shown = os.path.basename(inspected.path)
    if obstacle_to_conversion(inspected.paired_format):
        raise NotAModel(describe_paired(shown, inspected.paired_format), path=inspected.path)
    try:
        return plan_restoration(inspected.path)
    except ValueError as error:
        raise NotAModel(f"{shown} cannot be converted: {error}", path=inspected.path) from None
    except OSError as error:
        raise NotAModel(f"{shown} cannot be read: {error.strerror or error}", path=inspected.path) from None
