"""Defines what a picture is called in a history of folders. Pure."""

from __future__ import annotations

from typing import NamedTuple


class NamedPicture(NamedTuple):
    """A name, the job's output that it means, and whether its original and its starred copy are there."""

    path: str
    job_id: str
    output: int
    is_present: bool
    is_starred: bool
