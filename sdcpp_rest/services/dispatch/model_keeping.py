"""Decides which models leave an engine before another one is loaded, and how many it keeps at hand.

Two contexts of the library in one process work one after the other; what they cost is memory. Knows bytes and the order
of use; must not know the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine.protocol import Loaded
from sdcpp_rest.services.dispatch.holding import HeldModel

# What is left free beside a model and the buffers of a picture of its usual size: larger pictures, other programs.
_RESERVE_SHARE = 0.1


class ModelKeeping:
    """Chooses the models that leave.

    Args:
        limit: how many models an engine holds; ``auto``: as many as fit.
        need_of: bytes of a spec's weights in the memory that models share, and of all that it takes to draw one picture
            of its usual size there; zeros: not known.
        free_bytes: what of that memory is free now; ``None``: nobody knows.
    """

    def __init__(
        self,
        limit: int | Literal["auto"],
        need_of: Callable[[LoadSpec], tuple[int, int]],
        free_bytes: Callable[[], tuple[int, int] | None],
    ) -> None:
        self._limit = limit
        self._need_of = need_of
        self._free_bytes = free_bytes

    def held_bytes(self, spec: LoadSpec, loaded: Loaded) -> int:
        """Bytes that come back when ``spec`` leaves: what its load was seen to take, or its weights. Of main memory the
        load takes less at first than the model does later: its file is read when it is used."""
        return max(loaded.held_bytes, self._need_of(spec)[0])

    def choose_leaving(self, held: Sequence[HeldModel], wanted: LoadSpec) -> tuple[str, ...]:
        """Keys of those of ``held`` (least recently used first) that leave before ``wanted`` is loaded."""
        others = [model for model in held if model.spec.key != wanted.key]
        # The same files with other options take the place of what is there: nobody needs both.
        leaving = [model for model in others if model.spec.model.path == wanted.model.path]
        others = [model for model in others if model not in leaving]
        if isinstance(self._limit, int):
            leaving += others[: max(0, len(others) + 1 - self._limit)]
        else:
            leaving += self._choose_by_memory(others, leaving, wanted)
        return tuple(model.spec.key for model in leaving)

    def _choose_by_memory(
        self, others: Sequence[HeldModel], leaving: Sequence[HeldModel], wanted: LoadSpec
    ) -> Sequence[HeldModel]:
        known, need = self._free_bytes(), self._need_of(wanted)[1]
        if known is None or not need or not all(model.needed_bytes for model in others):
            # Whether two fit is not known: one is safe.
            return others
        free, total = known
        room = free + sum(model.needed_bytes for model in leaving) - need - int(total * _RESERVE_SHARE)
        count = 0
        while room < 0 and count < len(others):
            room += others[count].needed_bytes
            count += 1
        return others[:count]
