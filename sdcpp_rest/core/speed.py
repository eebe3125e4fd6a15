"""Averages what was measured, and tells from it how long something of another size takes.

Pure arithmetic. It must not know what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec

# Two classes for each doubling of the size: within one, time grows with the size nearly evenly.
_CLASSES_OF_DOUBLING = 2
# A newer measurement counts at least this much: a machine changes, and so does what else runs on it.
_NEWEST_SHARE = 0.25


class Bound(NamedTuple):
    """What a job needs in the engine, and digests of it as it was when the job began on ``device``."""

    spec: LoadSpec | None
    upscaler: UpscalerSpec | None
    model_key: str
    upscaler_key: str
    device: str = ""


class Speed(NamedTuple):
    """A moving average: ``seconds`` for one unit, over ``jobs`` jobs whose mean size was ``amount`` units."""

    seconds: float
    amount: float
    jobs: int = 1

    def mixed_with(self, seconds: float, amount: float) -> Speed:
        """The average after one more measurement."""
        share = max(_NEWEST_SHARE, 1 / (self.jobs + 1))
        return Speed(
            self.seconds + share * (seconds - self.seconds),
            self.amount + share * (amount - self.amount),
            self.jobs + 1,
        )


class Guess(NamedTuple):
    """``seconds`` for one unit, by so many jobs; ``is_exact`` where those were of the same size and way."""

    seconds: float
    jobs: int
    is_exact: bool


def size_class(amount: float) -> int:
    """The class of a size; the same for sizes that differ by less than a fifth from its middle."""
    return round(_CLASSES_OF_DOUBLING * math.log2(max(amount, 1e-9)))


def guess_seconds(known: Collection[Speed], amount: float) -> Guess | None:
    """What one unit takes at a size of ``amount``, by averages at other sizes; ``None`` where there are none.

    Between two sizes it follows the power that leads from one to the other; beyond all of them it is the nearest one's.
    """
    if not known:
        return None
    wanted = size_class(amount)
    for speed in known:
        if size_class(speed.amount) == wanted:
            return Guess(speed.seconds, speed.jobs, True)
    below = max((one for one in known if one.amount < amount), key=lambda one: one.amount, default=None)
    above = min((one for one in known if one.amount >= amount), key=lambda one: one.amount, default=None)
    if below is None or above is None or min(below.seconds, above.seconds) <= 0:
        nearest = below or above
        assert nearest is not None
        return Guess(nearest.seconds, nearest.jobs, False)
    place = math.log(amount / below.amount) / math.log(above.amount / below.amount)
    seconds = below.seconds * (above.seconds / below.seconds) ** place
    return Guess(seconds, min(below.jobs, above.jobs), False)
