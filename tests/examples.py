"""How many examples hypothesis tries: all in `make test`, some in `make test-fast`, which is run after every change."""

from __future__ import annotations

import hypothesis
import pytest

_FAST = "fast"
_FEW = 25


def choose_profile(config: pytest.Config) -> None:
    """Have tests without a number of their own try few examples where slow tests are left out."""
    hypothesis.settings.register_profile(_FAST, max_examples=_FEW)
    if "not slow" in config.option.markexpr:
        hypothesis.settings.load_profile(_FAST)


def examples(count: int) -> int:
    """``count``, or few where slow tests are left out: for the ``max_examples`` of a test."""
    return min(count, _FEW) if hypothesis.settings.get_current_profile_name() == _FAST else count
