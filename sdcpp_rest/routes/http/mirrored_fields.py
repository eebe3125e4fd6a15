"""Wire fields that mirror a field of the parameters: its default and its limits are read there, not written again.

A wire model that allows less, or documents another default, says so where it declares the field. Knows no single route.
"""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from sdcpp_rest.core.bounds import Marks, marks_of
from sdcpp_rest.routes.http.wire_models import AtMost, optional


def mirror(params: type[BaseModel], name: str, description: str, **differences: Any) -> Any:
    """Declare a wire field with the default and the limits of the field ``name`` of ``params``.

    Args:
        differences: what the wire says otherwise, as pydantic's ``Field`` takes it; ``None`` leaves a limit out. A
            ``default`` of ``None`` (also that of ``params``) makes a field that may be absent, and says no default.
    """
    field = params.model_fields[name]
    marks = marks_of(params).get(name, Marks())
    told = _default(field) | limits_of(marks) | differences
    may_be_absent = "default" in told and told["default"] is None
    if may_be_absent:
        del told["default"]
    made: FieldInfo = optional(description, **told) if may_be_absent else Field(description=description, **told)
    made.metadata += [AtMost(mark.limit) for mark in (marks.bounds, marks.length) if mark is not None and mark.limit]
    return made


def limits_of(marks: Marks) -> dict[str, Any]:
    """The limits that do not depend on the configuration, as pydantic's ``Field`` takes them."""
    limits: dict[str, Any] = {}
    if marks.bounds is not None:
        limits["ge"] = marks.bounds.lowest
        if not marks.bounds.limit and math.isfinite(marks.bounds.high):
            limits["le"] = marks.bounds.high
    if marks.length is not None and not marks.length.limit:
        limits["max_length"] = marks.length.longest
    return limits


def _default(field: FieldInfo) -> dict[str, Any]:
    if field.is_required():
        return {}
    return {"default": list(field.default) if isinstance(field.default, tuple) else field.default}
