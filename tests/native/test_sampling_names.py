"""The tables that are used while no engine runs say what the pinned library says."""

from __future__ import annotations

import pytest

from sdcpp_rest.core import quantization
from sdcpp_rest.core.sampling import HIRES_UPSCALERS, MINIMUM_STEPS, SAMPLERS, SCHEDULERS
from sdcpp_rest.native import weight_types
from sdcpp_rest.native.library import open_library

pytestmark = pytest.mark.native


def test_samplers_and_schedulers_are_the_librarys() -> None:
    library = open_library()
    assert library.samplers() == SAMPLERS
    assert library.schedulers() == SCHEDULERS
    assert set(MINIMUM_STEPS) <= set(SCHEDULERS)


def test_hires_upscalers_are_the_librarys_but_for_none() -> None:
    names = open_library().hires_upscaler_names
    values = [names.resolve(name) for name in HIRES_UPSCALERS]
    assert values == list(range(1, len(values) + 1))
    assert names.resolve("None") == 0
    with pytest.raises(ValueError, match="Bilinear"):
        names.resolve("Bilinear")


def test_both_tables_of_weight_types_agree() -> None:
    """Two rooms that must not import each other need the same facts."""
    writable = {entry.id: entry.value for entry in weight_types.writable_types()}
    assert writable == {entry.name.lower(): entry.id for entry in quantization.WRITABLE}
    assert len(writable) > 20
