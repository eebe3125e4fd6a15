"""Defines a kept call: what was asked for under an id of its own, and the jobs it became.

Pure values; what is in them is the dialect's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdcpp_rest.core.frozen import Frozen


class CallPart(Frozen):
    """One job of a kept call. ``about`` is JSON: what of the call the job draws."""

    job_id: str
    about: Mapping[str, Any]


class KeptCall(Frozen):
    """A call that was answered at once and is asked for later.

    ``number`` counts all calls, 0 for one that is not stored yet; ``client`` is the caller's own word for itself.
    ``texts`` go into its pictures, by key; ``sent`` is what else belongs to it, as JSON.
    """

    id: str
    number: int = 0
    client: str | None = None
    texts: Mapping[str, str] = {}
    sent: Mapping[str, Any] = {}
    parts: tuple[CallPart, ...] = ()

    def part_of(self, job_id: str) -> CallPart | None:
        """What the job of that id draws of the call; ``None`` for a job of others."""
        return next((part for part in self.parts if part.job_id == job_id), None)
