"""The real runner on weights that are no numbers: what it draws then is a failure, early where previews tell."""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec
from sdcpp_rest.core.params import ImageParams, LoraUse
from sdcpp_rest.engine.native_runner import NativeRunner
from sdcpp_rest.engine.preview_plan import StepPreviews
from sdcpp_rest.engine.protocol import PreviewSettings, RunJob
from sdcpp_rest.engine.raw_picture import RawPicture
from sdcpp_rest.engine.runner import RunResult

pytestmark = pytest.mark.native


class Listener:
    """Counts what a run tells."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def loading(self, progress: float | None) -> None:
        pass

    def step(self, step: int, total_steps: int, image: int, phase: str) -> None:
        if step:
            self.steps.append(step)

    def preview(self, step: int, frame_count: int, picture: RawPicture, is_noisy: bool) -> bool | None:
        return None


@dataclasses.dataclass
class Drawing:
    """A runner with the demo model, and a LoRA for it whose numbers are none."""

    runner: NativeRunner
    model_key: str
    broken_lora: LoraUse
    folder: Path
    runs: int = 0

    def draw(
        self,
        prompt: str = "a red circle",
        *,
        source: Image.Image | None = None,
        listener: Listener | None = None,
        **changes: Any,
    ) -> Any:
        """Returns the run's result, and the steps that it told."""
        self.runs += 1
        values = {"width": 64, "height": 64, "steps": 10, "cfg_scale": 2.5, "sampler": "euler", "seed": self.runs}
        inputs = {}
        if source is not None:
            inputs["init_image"] = str(self.folder / f"source{self.runs}.png")
            source.save(inputs["init_image"])
        command = RunJob(
            run=self.runs,
            job_id="a",
            kind="img2img" if source else "txt2img",
            params=ImageParams(prompt=prompt, **{**values, **changes}),
            model_key=self.model_key,
            inputs=inputs,
            spool=str(self.folder / "spool"),
        )
        self.runner.ready()  # callbacks were taken away after the test before
        listener = listener or Listener()
        return self.runner.run(command, listener), listener.steps


@pytest.fixture(scope="module")
def drawing(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drawing]:
    folder = tmp_path_factory.mktemp("runner")
    parts = {
        "llm": demo_folder / "llm/demo_llm_q4_0.gguf",
        "taesd": demo_folder / "taesd/demo_tae.safetensors",
    }
    model = demo_folder / "diffusion_models/demo_dit_q8_0.gguf"
    spec = LoadSpec(
        model=FileRef(name=model.name, path=str(model)),
        kind="diffusion",
        components={role: FileRef(name=path.name, path=str(path)) for role, path in parts.items()},
        options=LoadOptions(vae_decode_only=False),
    )
    runner = NativeRunner(n_threads=1)
    runner.ready()
    runner.load(spec, (), Listener())
    broken = folder / "broken.safetensors"
    broken.write_bytes(_without_numbers((demo_folder / "loras/demo_lora.safetensors").read_bytes()))
    yield Drawing(runner, spec.key, LoraUse(name="broken", path=str(broken), weight=1.0), folder)
    runner.unload()


def _without_numbers(safetensors: bytes) -> bytes:
    """The same file with every value a NaN."""
    size = struct.unpack("<Q", safetensors[:8])[0]
    header = json.loads(safetensors[8 : 8 + size])
    kinds = {one["dtype"] for name, one in header.items() if name != "__metadata__"}
    nan = {"F16": b"\x00\x7e", "F32": b"\x00\x00\xc0\x7f"}[kinds.pop()]
    return safetensors[: 8 + size] + nan * ((len(safetensors) - 8 - size) // len(nan))


def test_a_broken_lora_ends_the_run_early_and_the_next_one_is_healthy(drawing: Drawing) -> None:
    result, steps = drawing.draw(loras=(drawing.broken_lora,))
    assert isinstance(result, RunResult)
    assert result.failure is not None
    assert result.failure.code == "picture_is_blank"
    assert result.failure.message.startswith("Stopped after step 4, ")
    assert "broken at 1" in result.failure.message
    assert max(steps) < 10
    assert len(result.pictures) == 1, "the last preview, to be looked at"
    healthy, steps = drawing.draw()
    assert (healthy.failure, healthy.warnings, max(steps)) == (None, (), 10)


def test_a_broken_batch_is_drawn_to_its_end_and_fails(drawing: Drawing) -> None:
    result, _ = drawing.draw(loras=(drawing.broken_lora,), batch_count=2, steps=5)
    assert result.failure is not None
    assert result.failure.message.startswith("The picture's previews were of one single colour to the last (#000000)")
    assert [(picture.width, picture.height) for picture in result.pictures] == [(64, 64)] * 2


@pytest.mark.parametrize("prompt", ["a plain blue background", "black", "a white square on a white background", ""])
@pytest.mark.parametrize("cfg_scale", [1.0, 8.0])
def test_a_plain_picture_is_a_picture(drawing: Drawing, prompt: str, cfg_scale: float) -> None:
    result, steps = drawing.draw(prompt, cfg_scale=cfg_scale, steps=6)
    assert (result.failure, result.warnings, max(steps)) == (None, (), 6)


@pytest.mark.parametrize("colour", ["white", "black", "blue"])
@pytest.mark.parametrize("strength", [0.1, 0.9])
def test_a_picture_from_a_plain_one_never_fails(drawing: Drawing, colour: str, strength: float) -> None:
    source = Image.new("RGB", (64, 64), colour)
    assert drawing.draw("a plain background", source=source, strength=strength)[0].failure is None


class Watching(Listener):
    """Is shown every preview; ``seen``: after which step, and how wide it was."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def preview(self, step: int, frame_count: int, picture: RawPicture, is_noisy: bool) -> bool:
        self.seen.append((step, picture.width))
        return True


def test_previews_that_cost_a_tiny_picture_too_much_are_decoded_once_and_projected_then(
    drawing: Drawing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo model's decoder takes most of a step: of four steps a twentieth is not enough for it."""
    previews = StepPreviews(0.05)
    monkeypatch.setattr(drawing.runner, "_previews", previews)
    drawing.runner.set_preview(PreviewSettings(mode="tae"))
    shown = []
    for _ in range(2):
        listener = Watching()
        drawing.draw(steps=4, listener=listener)
        shown.append(listener.seen)
    assert shown[0] == [(1, 64)]
    assert {width for _, width in shown[1]} <= {8}, "as wide as the latents"
    decoded, projected = previews._measured.values()
    assert decoded.shown is not None
    assert projected.look is not None
    assert decoded.shown > projected.look, "the decoding itself is measured"


def test_a_preview_can_be_left_out_at_any_step_and_the_picture_is_the_same(
    drawing: Drawing, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = []
    for steps in ((), (2,), (1, 3, 4)):
        previews = StepPreviews(1.0)
        monkeypatch.setattr(drawing.runner, "_previews", previews)
        drawing.runner.set_preview(PreviewSettings(mode="tae"))
        monkeypatch.setattr(previews, "begin_step", lambda step, of, steps=steps: step in steps)
        monkeypatch.setattr(previews, "show", lambda report: report())
        listener = Watching()
        result, _ = drawing.draw(steps=4, listener=listener, seed=7)
        assert [step for step, _ in listener.seen] == list(steps)
        pictures.append(result.pictures[0].pixels)
    assert pictures[0] == pictures[1] == pictures[2]
