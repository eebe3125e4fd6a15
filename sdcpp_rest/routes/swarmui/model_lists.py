"""Lists models by type for the menus of SwarmUI's page, and says when it is time to look through the folders again.

Knows cards; the parameters themselves are listed elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sdcpp_rest.routes.swarmui.model_classes import class_of
from sdcpp_rest.routes.swarmui.model_types import MODEL_TYPES, list_cards
from sdcpp_rest.services.models.model_cards import READ_SECONDS, ModelCards

REFRESH_SECONDS = 10.0
"""At most one strong refresh in so many."""


class RefreshGate:
    """Lets one strong refresh through in `REFRESH_SECONDS`. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: float | None = None

    def enter(self) -> bool:
        """Whether it is time for another one; if so, it counts as done."""
        with self._lock:
            now = self._clock()
            if self._last is not None and now - self._last < REFRESH_SECONDS:
                return False
            self._last = now
            return True


def list_model_names(cards: ModelCards) -> dict[str, list[list[str | None]]]:
    """``models`` of ListT2IParams: every type with its models, each a name and the id of its class, as far as that is
    known in time."""
    share = READ_SECONDS / len(MODEL_TYPES)
    return {
        subtype: [
            [card.file.name, kind.id if (kind := class_of(card)) is not None else None]
            for card in list_cards(subtype, cards, share)
        ]
        for subtype in MODEL_TYPES
    }
