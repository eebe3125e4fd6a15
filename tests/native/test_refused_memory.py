"""Memory that is refused to the real library, in an engine of its own: every part that does not get what it asks for
is a failure that says so, whether the process survives it or not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import ImageParams, LoraUse, UpscaleParams
from sdcpp_rest.engine.client import EngineClient
from sdcpp_rest.engine.launchers import ProcessLauncher
from sdcpp_rest.engine.protocol import RunJob
from sdcpp_rest.engine.runner import RunFailed
from sdcpp_rest.engine.worker_options import WorkerOptions
from sdcpp_rest.errors import EngineOutOfMemory, OutOfMemory
from tools.synthetic_models.families import write_file

pytestmark = pytest.mark.native

SHIM = Path(__file__).with_name("refuse_memory.c")
PATIENCE_SECONDS = 120
# Bytes of what the parts of the demo model ask for, at 64 x 64 pixels, as TELL_MEMORY prints them.
WEIGHTS = {"text encoder": 6_917_888, "diffusion model": 2_649_600, "VAE": 4_925_792}
BUFFERS = {"text encoder": 23_590_272, "diffusion model": 3_412_064, "VAE": 7_868_480}
CONTROLNET_WEIGHTS, CONTROLNET_BUFFER = 983_146_208, 2_211_936
LORA, UPSCALER, UPSCALING = 393_216, 229_152, 27_312_192


class Engines:
    """Engines whose memory a test refuses."""

    def __init__(self, folder: Path, demo: Path) -> None:
        self.folder, self.demo = folder, demo
        self.control = folder / "refused"
        self.client: EngineClient | None = None
        self.model_key: str | None = None

    def refuse(self, size: int | None) -> None:
        """From now on nobody gets exactly ``size`` bytes, give or take a thousandth; ``None``: everybody does."""
        self.control.write_text("" if size is None else f"{size - size // 1000} {size + size // 1000}")

    def engine(self) -> EngineClient:
        if self.client is None or not self.client.alive:
            words, log = str(self.folder / "words"), str(self.folder / "engine.log")
            options = WorkerOptions(log_path=log, last_words_path=words, n_threads=1)
            self.client = EngineClient(ProcessLauncher(options))
            self.client.wait_ready(PATIENCE_SECONDS)
        return self.client

    def load(self, **options: Any) -> None:
        parts = {"llm": "llm/demo_llm_q4_0.gguf", "taesd": "taesd/demo_tae.safetensors"}
        self.load_spec(
            LoadSpec(
                model=self._file("diffusion_models/demo_dit_q8_0.gguf"),
                kind="diffusion",
                components={role: self._file(name) for role, name in parts.items()},
                options=LoadOptions(vae_decode_only=False, **options),
            )
        )

    def load_spec(self, spec: LoadSpec) -> None:
        """The one model of the engine."""
        held, self.model_key = self.model_key, spec.key
        self.engine().load(spec, free=[held] if held else [])

    @property
    def upscaler(self) -> UpscalerSpec:
        return UpscalerSpec(model=self._file("esrgan/esrgan_x2.safetensors"))

    @property
    def lora(self) -> LoraUse:
        return LoraUse(name="demo_lora", path=self._file("loras/demo_lora.safetensors").path, weight=1.0)

    def draw(self, control_image: Image.Image | None = None, **changes: Any) -> int:
        """Draw a small picture; returns how many there are. Raises RunFailed, EngineDied."""
        values = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 1, "cfg_scale": 1.0, "sampler": "euler"}
        inputs = {}
        if control_image is not None:
            inputs["control_image"] = str(self.folder / "control.png")
            control_image.save(inputs["control_image"])
        return self._run("txt2img", ImageParams(**{**values, **changes}), inputs)

    def upscale(self) -> int:
        Image.effect_noise((64, 64), 50).save(self.folder / "image.png")
        return self._run("upscale", UpscaleParams(upscaler=self.upscaler), {"image": str(self.folder / "image.png")})

    def _run(self, kind: Any, params: Any, inputs: dict[str, str]) -> int:
        spool = str(self.folder / "spool")
        run = self.engine().run(
            lambda number: RunJob(
                run=number,
                job_id="a",
                kind=kind,
                params=params,
                model_key=self.model_key if kind == "txt2img" else None,
                inputs=inputs,
                spool=spool,
            )
        )
        return run.computed.result(PATIENCE_SECONDS).images

    def _file(self, name: str) -> FileRef:
        return FileRef(name=Path(name).name, path=str(self.demo / name))


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("shim") / "refuse_memory.so"
    subprocess.run(["c++", "-x", "c++", "-shared", "-fPIC", "-o", built, SHIM, "-ldl"], check=True)
    return built


@pytest.fixture(scope="module")
def engines(shim: Path, tmp_path_factory: pytest.TempPathFactory, demo_folder: Path) -> Iterator[Engines]:
    made = Engines(tmp_path_factory.mktemp("engines"), demo_folder)
    with pytest.MonkeyPatch.context() as patch:
        # Only processes that begin from here on see the shim: the engines.
        patch.setenv("LD_PRELOAD", str(shim))
        patch.setenv("REFUSE_MEMORY", str(made.control))
        yield made
    if made.client is not None:
        made.client.stop(10)


@pytest.mark.parametrize(("part", "size"), WEIGHTS.items())
def test_weights_without_memory_fail_the_load_by_name(engines: Engines, part: str, size: int) -> None:
    engines.refuse(size)
    with pytest.raises((OutOfMemory, EngineOutOfMemory)) as caught:
        engines.load()
    assert f"the {part} asked for {size / (1 << 20):.1f} MiB on CPU, where " in caught.value.message
    assert "weight_type" in caught.value.message
    engines.refuse(None)
    engines.load()
    assert engines.draw() == 1, "this engine, or the next one, is as good as ever"


@pytest.mark.parametrize(("part", "size"), BUFFERS.items())
def test_buffers_without_memory_fail_the_job_by_name_and_the_model_stays(
    engines: Engines, part: str, size: int
) -> None:
    engines.refuse(None)
    engines.load()
    engines.refuse(size)
    with pytest.raises(RunFailed) as caught:
        engines.draw()
    assert caught.value.code == "out_of_memory"
    assert f"the {part} asked for {size / (1 << 20):.1f} MiB on CPU" in caught.value.message
    assert "a smaller width and height" in caught.value.message
    engines.refuse(None)
    assert engines.draw() == 1


def test_a_lora_without_memory_is_not_left_out(engines: Engines) -> None:
    engines.refuse(None)
    engines.load()
    engines.refuse(LORA)
    with pytest.raises((RunFailed, EngineOutOfMemory)) as caught:
        engines.draw(loras=(engines.lora,))
    assert "the LoRA asked for 0.4 MiB" in caught.value.message


def test_an_upscaler_without_memory_fails_the_load_and_the_job(engines: Engines) -> None:
    engines.refuse(UPSCALER)
    with pytest.raises((OutOfMemory, EngineOutOfMemory)) as load:
        engines.engine().load_upscaler(engines.upscaler)
    assert "the upscaler asked for 0.2 MiB" in load.value.message
    engines.refuse(None)
    engines.engine().load_upscaler(engines.upscaler)
    engines.refuse(UPSCALING)
    with pytest.raises((RunFailed, EngineOutOfMemory)) as caught:
        engines.upscale()
    assert "a smaller tile_size" in caught.value.message
    engines.refuse(None)
    engines.engine().load_upscaler(engines.upscaler)
    assert engines.upscale() == 1


@pytest.mark.skipif(not os.environ.get("SDCPP_REST_ALL_FAMILIES"), reason="2 GB; only with SDCPP_REST_ALL_FAMILIES=1")
def test_a_controlnet_without_memory_is_not_left_out(engines: Engines, tmp_path: Path) -> None:
    paths = {name: write_file(tmp_path, name) for name in ("sd15", "controlnet")}
    files = {name: FileRef(name=path.name, path=str(path)) for name, path in paths.items()}
    spec = LoadSpec(model=files["sd15"], kind="checkpoint", components={"controlnet": files["controlnet"]})
    engines.refuse(CONTROLNET_WEIGHTS)
    with pytest.raises((OutOfMemory, EngineOutOfMemory), match=r"the ControlNet asked for 937\.6 MiB"):
        engines.load_spec(spec)
    engines.refuse(None)
    engines.load_spec(spec)
    control = Image.effect_noise((64, 64), 50)
    engines.refuse(CONTROLNET_BUFFER)
    with pytest.raises(RunFailed, match=r"the ControlNet asked for 2\.1 MiB") as caught:
        engines.draw(control_image=control)
    assert caught.value.code == "out_of_memory"
    engines.refuse(None)
    assert engines.draw(control_image=control) == 1
