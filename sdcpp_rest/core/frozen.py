"""Defines the base class of our immutable records.

NaN and infinity survive a round trip through JSON: for the library, infinity means "decide yourself".
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable record. Unknown fields are an error: these are our own words, not a client's.

    NaN and infinity survive a round trip through JSON: for the library, infinity means "decide yourself".
    """

    # Built by who uses it first: the two processes know many records, and use few of them before the first job.
    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_inf_nan="constants", protected_namespaces=(), defer_build=True
    )
