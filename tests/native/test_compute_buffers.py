"""The estimate of core.fit against what the library itself logs while it draws with the demo model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sdcpp_rest.native.context import Context, ContextOptions
from sdcpp_rest.native.library import Library
from sdcpp_rest.services.models.fit_estimate import FitEstimates, FitRequest
from sdcpp_rest.services.models.fit_needs import Needs
from sdcpp_rest.services.models.model_library import ModelLibrary
from tests.native.drawing import picture

pytestmark = pytest.mark.native

MIB = 1 << 20
NO_MEMORY = {"devices": [], "system": {"total_bytes": 0, "available_bytes": 0}, "engine": {"rss_bytes": 0}}
_BUFFER = re.compile(r"(\w+) compute buffer size: ([\d.]+) MB")
_WEIGHTS = re.compile(r"(text_encoders|diffusion_model|vae) ([\d.]+)MB")


def estimated(tmp_path: Path, demo_folder: Path, side: int) -> Needs:
    fits = FitEstimates(ModelLibrary(tmp_path, {}, demo_folder), lambda: NO_MEMORY, tuple)
    return fits.of("diffusion", "demo_dit_q8_0", FitRequest(side, side)).needs


@pytest.mark.parametrize("side", [64, 256])
def test_the_estimate_holds_for_the_demo_model(
    library: Library, demo_options: ContextOptions, tmp_path: Path, demo_folder: Path, side: int
) -> None:
    lines: list[str] = []
    library.set_log(lambda level, line: lines.append(line))
    with Context.load(demo_options) as context:
        context.generate_image(picture(width=side, height=side, steps=1), run=1)
    said = "\n".join(lines)
    buffers = {name: float(size) for name, size in _BUFFER.findall(said)}
    weights = {part: float(size) for part, size in _WEIGHTS.findall(said)}
    needs = estimated(tmp_path, demo_folder, side)
    assert needs.buffers["vae"] / MIB == pytest.approx(buffers["taesd"], rel=0.05)
    # Small buffers are all constants that the formulas leave out, and of no importance.
    assert needs.buffers["diffusion_model"] / MIB == pytest.approx(buffers["flux"], rel=0.3, abs=4)
    assert buffers["qwen3"] <= needs.buffers["text_encoders"] / MIB
    for part in ("text_encoders", "diffusion_model"):
        assert needs.weights[part] / MIB == pytest.approx(weights[part], rel=0.02), part
