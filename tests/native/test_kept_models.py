"""Several models in one engine, with the real library: each draws as it does alone, whatever becomes of the others."""

from __future__ import annotations

import platform
import queue
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec
from sdcpp_rest.core.params import ImageParams, LoraUse
from sdcpp_rest.engine.client import EngineClient, RunEvent, RunHandle
from sdcpp_rest.engine.launchers import ProcessLauncher
from sdcpp_rest.engine.protocol import Loaded, Preview, PreviewSettings, RunJob, Step
from sdcpp_rest.engine.runner import RunCancelled, RunFailed
from sdcpp_rest.engine.worker_options import WorkerOptions
from sdcpp_rest.errors import LoadFailed
from tools.synthetic_models.families import FAMILIES, files_of, write_file

pytestmark = pytest.mark.native

PATIENCE_SECONDS = 120
ENDLESS_STEPS = 5000
# Of four builders of graphs, with a VAE and without; none is larger than 100 MB.
NAMES = ("klein", "flux_schnell", "flux2", "ovis")
ROUNDS = 4


class Engine:
    """One engine process, and what it draws."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.events: queue.SimpleQueue[RunEvent] = queue.SimpleQueue()
        # Previews whatever they cost: two steps have no time for one.
        options = WorkerOptions(log_path=str(folder / "engine.log"), n_threads=1, preview_share=1.0)
        self.client = EngineClient(ProcessLauncher(options), self.events.put)
        self.client.wait_ready(PATIENCE_SECONDS)

    def load(self, spec: LoadSpec, free: Sequence[LoadSpec] = ()) -> Loaded:
        return self.client.load(spec, free=[one.key for one in free])

    def begin(self, spec: LoadSpec, **changes: Any) -> RunHandle:
        values: dict[str, Any] = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 2, "seed": 3}
        params = ImageParams(**{**values, "cfg_scale": 1.0, "sampler": "euler", **changes})

        def command(number: int) -> RunJob:
            spool = str(self.folder / f"spool-{number}")
            return RunJob(run=number, job_id="a", kind="txt2img", params=params, model_key=spec.key, spool=spool)

        return self.client.run(command)

    def draw(self, spec: LoadSpec, **changes: Any) -> bytes:
        """The file of one small picture. Raises RunFailed."""
        run = self.begin(spec, **changes)
        (name,) = run.finished.result(PATIENCE_SECONDS).files
        return (self.folder / f"spool-{run.number}" / name).read_bytes()

    def cancel_at_its_second_step(self, spec: LoadSpec) -> None:
        run = self.begin(spec, steps=ENDLESS_STEPS)
        while True:
            event = self.events.get(timeout=PATIENCE_SECONDS)
            if isinstance(event, Step) and (event.run, event.step) == (run.number, 2):
                break
        self.client.cancel(run.number)
        with pytest.raises(RunCancelled):
            run.computed.result(PATIENCE_SECONDS)

    def preview_width(self, spec: LoadSpec) -> int:
        """Of a preview that such a job gives."""
        run = self.begin(spec)
        run.finished.result(PATIENCE_SECONDS)
        widths = []
        while not self.events.empty():
            event = self.events.get()
            if isinstance(event, Preview) and event.run == run.number:
                widths.append(event.width)
        return widths[0]

    @property
    def rss_bytes(self) -> int:
        return int(psutil.Process(self.client.pid).memory_info().rss)


class Kept:
    """Models by name, and the picture that each draws in a process that holds nothing else."""

    def __init__(self, folder: Path, demo: Path) -> None:
        self.folder = folder
        self.lora = LoraUse(name="demo_lora", path=str(demo / "loras/demo_lora.safetensors"), weight=1.0)
        parts = {"llm": "llm/demo_llm_q4_0.gguf", "taesd": "taesd/demo_tae.safetensors"}
        self.specs = {"demo": _spec(demo, "diffusion_models/demo_dit_q8_0.gguf", parts)}
        self.specs["demo of fewer bits"] = _spec(demo, "diffusion_models/demo_dit_q8_0.gguf", parts, weight_type="q4_0")
        models = folder / "models"
        written = {file: write_file(models, file).relative_to(models).as_posix() for file in files_of(NAMES)}
        for name in NAMES:
            family = FAMILIES[name]
            components = {role: written[file] for role, file in family.components.items()}
            self.specs[name] = _spec(models, written[family.model], components, vae_decode_only=not family.encodes)
        self.alone = {name: self._draw_alone(name) for name in self.specs}
        assert len(set(self.alone.values())) == len(self.specs), "equal pictures would prove nothing"

    def engine(self, name: str) -> Engine:
        return Engine(self.folder / name)

    def _draw_alone(self, name: str) -> bytes:
        engine = self.engine(f"alone {name}")
        engine.load(self.specs[name])
        picture = engine.draw(self.specs[name])
        engine.client.stop(10)
        return picture


def _spec(folder: Path, model: str, components: dict[str, str], **options: Any) -> LoadSpec:
    def file(name: str) -> FileRef:
        return FileRef(name=Path(name).name, path=str(folder / name))

    return LoadSpec(
        model=file(model),
        kind="diffusion",
        components={role: file(name) for role, name in components.items()},
        options=LoadOptions(**options),
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, demo_folder: Path) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("kept")
    yield Kept(folder, demo_folder)
    shutil.rmtree(folder / "models")


@pytest.fixture
def engine(kept: Kept, request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = kept.engine(request.node.name)
    yield engine
    engine.client.stop(10)


def test_models_that_take_turns_draw_as_each_does_alone_and_memory_does_not_grow(engine: Engine, kept: Kept) -> None:
    assert len({FAMILIES[name].version for name in NAMES}) == len(NAMES)
    before = engine.rss_bytes
    held = [engine.load(spec).held_bytes for spec in kept.specs.values()]
    assert min(held) > 12_000_000, "no model has smaller files"
    assert sum(held) == pytest.approx(engine.rss_bytes - before, rel=0.05)
    rss = []
    for turn in range(ROUNDS):
        # Now in this order, now in that, so that each follows on others.
        for name in sorted(kept.specs, reverse=turn % 2 == 1):
            assert engine.draw(kept.specs[name]) == kept.alone[name], f"{name} in round {turn}"
        rss.append(engine.rss_bytes)
    assert ROUNDS * len(kept.specs) > 20
    # The C library may keep one text encoder's buffer (23 MB) once it has been freed, and does so once.
    assert max(rss) < rss[0] * 1.06, rss


@pytest.mark.parametrize("first", ["demo", "klein"])
def test_cancel_in_the_second_model_leaves_both_as_they_were(engine: Engine, kept: Kept, first: str) -> None:
    second = {"demo": "klein", "klein": "demo"}[first]
    for name in (first, second):
        engine.load(kept.specs[name])
    done = engine.begin(kept.specs[first])
    done.computed.result(PATIENCE_SECONDS)
    engine.client.cancel(done.number)
    assert engine.draw(kept.specs[second]) == kept.alone[second], "a late cancel hits no other model's run"
    engine.cancel_at_its_second_step(kept.specs[second])
    for name in (first, second, first):
        assert engine.draw(kept.specs[name]) == kept.alone[name]
    engine.cancel_at_its_second_step(kept.specs[first])
    engine.cancel_at_its_second_step(kept.specs[second])
    for name in (second, first):
        assert engine.draw(kept.specs[name]) == kept.alone[name]


def test_unloading_one_model_leaves_the_others(engine: Engine, kept: Kept) -> None:
    demo, klein, ovis = (kept.specs[name] for name in ("demo", "klein", "ovis"))
    for spec in (demo, klein, ovis):
        engine.load(spec)
    engine.client.unload([klein.key])
    with pytest.raises(RunFailed, match=f"no model of the key {klein.key} is loaded"):
        engine.draw(klein)
    assert engine.draw(demo) == kept.alone["demo"]
    assert engine.draw(ovis) == kept.alone["ovis"]
    engine.load(klein, free=[demo])
    with pytest.raises(RunFailed, match=demo.key):
        engine.draw(demo)
    assert engine.draw(klein) == kept.alone["klein"]
    assert engine.draw(ovis) == kept.alone["ovis"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators decide by themselves")
def test_memory_of_a_freed_model_goes_back_to_the_system(engine: Engine, kept: Kept) -> None:
    """Also that of its tables of words: small pieces, freed below others that are still in use."""
    specs = [kept.specs[name] for name in ("demo", "demo of fewer bits", "klein")]
    before = engine.rss_bytes
    held = [engine.load(spec).held_bytes for spec in specs]
    for spec in specs:
        engine.draw(spec)
    full = engine.rss_bytes
    engine.client.unload([specs[0].key])
    assert full - engine.rss_bytes > held[0] * 0.9
    engine.client.unload()
    assert engine.rss_bytes - before < held[0] * 0.5


def test_load_that_fails_leaves_the_others(engine: Engine, kept: Kept) -> None:
    demo, klein = kept.specs["demo"], kept.specs["klein"]
    engine.load(demo)
    engine.load(klein)
    damaged = engine.folder / "damaged.gguf"
    damaged.write_bytes(Path(klein.model.path).read_bytes()[:100_000])
    # Cut off in the middle, and one whose parts do not belong to it: both fail, the second after most is loaded.
    for model in (FileRef(name="damaged.gguf", path=str(damaged)), kept.specs["flux_schnell"].model):
        third = klein.model_copy(update={"model": model})
        with pytest.raises(LoadFailed):
            engine.load(third)
        with pytest.raises(RunFailed, match=third.key):
            engine.draw(third)
        assert engine.draw(klein) == kept.alone["klein"]
        assert engine.draw(demo) == kept.alone["demo"]


def test_what_a_lora_does_to_one_model_is_not_seen_in_others(engine: Engine, kept: Kept) -> None:
    demo, other = kept.specs["demo"], kept.specs["demo of fewer bits"]
    engine.load(demo)
    engine.load(other)
    assert engine.draw(demo, loras=(kept.lora,)) != kept.alone["demo"]
    assert engine.draw(other) == kept.alone["demo of fewer bits"]
    assert engine.draw(demo) == kept.alone["demo"]


def test_previews_are_made_with_the_parts_of_the_model_that_draws(engine: Engine, kept: Kept) -> None:
    """Without a tiny autoencoder of its own, a model's previews are made from its latents."""
    engine.load(kept.specs["demo"])
    engine.load(kept.specs["klein"])
    engine.client.set_preview(PreviewSettings(mode="tae"))
    assert engine.preview_width(kept.specs["demo"]) == 64
    assert engine.preview_width(kept.specs["klein"]) < 64
    assert engine.preview_width(kept.specs["demo"]) == 64
