from __future__ import annotations

import pytest

from sdcpp_rest.core.family_sizes import NamedSize, Range, ranges_of, size_multiple, sizes_near
from sdcpp_rest.core.presets import PRESETS, Preset
from tests.cases import for_each_case


@for_each_case("preset", PRESETS.values(), ids=lambda preset: preset.id)
def test_sizes_are_of_the_usual_ratios_and_area(preset: Preset) -> None:
    width, height = preset.generation.get("width", 1024), preset.generation.get("height", 1024)
    multiple = size_multiple(preset.architecture)
    sizes = sizes_near(width, height, multiple)
    assert sizes[0][1:] == (width, height)
    assert len({size[1:] for size in sizes}) == len(sizes) >= 8
    for size in sizes[1:]:
        across, _, down = size.ratio.partition(":")
        assert size.width % multiple == size.height % multiple == 0
        assert size.width / size.height == pytest.approx(int(across) / int(down), rel=0.13)
        assert size.width * size.height == pytest.approx(width * height, rel=0.2)


def test_known_sizes() -> None:
    by_ratio = {size.ratio: size[1:] for size in sizes_near(1024, 1024, 64)}
    assert by_ratio["16:9"] == (1344, 768)
    assert by_ratio["9:16"] == (768, 1344)
    assert sizes_near(832, 480, 16)[0] == NamedSize("26:15", 832, 480)


@pytest.mark.parametrize(
    ("generation", "expected"),
    [
        ({"steps": 20, "cfg_scale": 7.0}, {"steps": Range(10, 40, 20), "cfg_scale": Range(1.0, 12.2, 7.0)}),
        ({"steps": 4, "cfg_scale": 1.0}, {"steps": Range(2, 8, 4), "cfg_scale": Range(1.0, 2.0, 1.0)}),
        ({"steps": 1}, {"steps": Range(1, 2, 1)}),
        ({}, {}),
    ],
)
def test_ranges_lie_around_the_usual_settings(generation: dict[str, float], expected: dict[str, Range]) -> None:
    assert ranges_of(generation) == expected
