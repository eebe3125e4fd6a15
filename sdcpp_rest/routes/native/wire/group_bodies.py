"""How a job's place in a group of jobs is told over the wire."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import WithJsonSchema

MOST_AXES = 3
MOST_VALUES = 200
ID_CHARACTERS = 100
FIELD_CHARACTERS = 100
VALUE_CHARACTERS = 500

_VALUE = {"type": ["string", "number", "boolean"], "maxLength": VALUE_CHARACTERS}
_AXIS = {
    "type": "object",
    "required": ["field", "values"],
    "additionalProperties": False,
    "properties": {
        "field": {"type": "string", "minLength": 1, "maxLength": FIELD_CHARACTERS},
        "values": {"type": "array", "minItems": 1, "maxItems": MOST_VALUES, "items": _VALUE},
    },
}
Group = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "required": ["id", "axes", "cell"],
            "additionalProperties": False,
            "properties": {
                "id": {"type": "string", "minLength": 1, "maxLength": ID_CHARACTERS, "pattern": "^[A-Za-z0-9._-]+$"},
                "kind": {"const": "grid"},
                "axes": {"type": "array", "minItems": 1, "maxItems": MOST_AXES, "items": _AXIS},
                "cell": {
                    "type": "array",
                    "description": "One index from 0 for each axis.",
                    "minItems": 1,
                    "maxItems": MOST_AXES,
                    "items": {"type": "integer", "minimum": 0},
                },
            },
        }
    ),
]
"""Read by `job_groups.read_group`."""
