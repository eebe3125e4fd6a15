"""An engine on another machine: files go there and come back, what it lacks is said, and its loss is no death."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.engine.client import EngineClient, RunEvent
from sdcpp_rest.engine.fake_runner import FakeRunner
from sdcpp_rest.engine.launchers import InlineLauncher
from sdcpp_rest.engine.protocol import Preview, RunJob
from sdcpp_rest.engine.remote import shipping
from sdcpp_rest.engine.remote.model_places import ModelPlaces
from sdcpp_rest.engine.runner import RunFailed
from sdcpp_rest.errors import EngineDied, EngineLost, LoadFailed
from tests.engine.conftest import TIMEOUT
from tests.engine.remote.thread_link import RemoteLauncher, ThreadLink


class Rig:
    """Two machines: ``here`` has the server's folders, ``there`` the engine's."""

    def __init__(self, folder: Path, *, shares_files: bool = False) -> None:
        self.here, self.there = folder / "here", folder / "there"
        for models in (self.here, self.there):
            models.mkdir()
            (models / "model.gguf").write_bytes(b"model")
        self.spec = LoadSpec(model=FileRef(name="model.gguf", path=str(self.here / "model.gguf")), kind="diffusion")
        self.events: list[RunEvent] = []
        self.links: list[ThreadLink] = []
        self.commands: list[RunJob] = []
        self.began = threading.Event()
        self.shown = threading.Event()
        self.before_step: Callable[[int], object] = lambda step: None
        self.folder = folder
        self.deaths: list[EngineDied] = []
        self.client = EngineClient(
            RemoteLauncher(self.open_link, ModelPlaces({"models": self.here}), shares_files=shares_files),
            self.note_event,
            self.deaths.append,
        )
        self.client.wait_ready(TIMEOUT)

    def open_link(self) -> ThreadLink:
        inside = InlineLauncher(lambda: FakeRunner(self.note_step, inline=True))
        self.links.append(ThreadLink(inside, ModelPlaces({"models": self.there}), self.folder / "jobs"))
        return self.links[-1]

    def note_step(self, command: RunJob, step: int) -> None:
        self.commands.append(command)
        self.began.set()
        self.before_step(step)

    def note_event(self, event: RunEvent) -> None:
        self.events.append(event)
        if isinstance(event, Preview):
            self.shown.set()

    def wait_for_preview(self) -> None:
        """Hold the second step until the preview of the first is here: the encoder removes the file at the end, maybe
        before anybody has come for it."""
        self.before_step = lambda step: step == 1 or self.shown.wait(TIMEOUT)

    def first_preview(self) -> str:
        return next(event.path for event in self.events if isinstance(event, Preview))

    @property
    def link(self) -> ThreadLink:
        return self.links[-1]

    def job(self, prompt: str = "a cat", *, inputs: dict[str, str] | None = None) -> Callable[[int], RunJob]:
        params = ImageParams(prompt=prompt, width=8, height=8, steps=2, seed=1)
        return lambda number: RunJob(
            run=number, job_id="job", kind="img2img" if inputs else "txt2img", params=params,
            model_key=self.spec.key, inputs=inputs or {}, spool=str(self.folder / f"spool-{number}"), captions=("a",),
        )  # fmt: skip


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.client.stop(5)


def test_a_model_keeps_the_servers_name_and_is_loaded_from_the_other_folder(rig: Rig) -> None:
    assert rig.client.load(rig.spec).key == rig.spec.key
    rig.client.run(rig.job()).finished.result(TIMEOUT)
    assert rig.commands[0].model_key not in (None, rig.spec.key), "there its spec has other paths"
    rig.client.unload((rig.spec.key,))
    with pytest.raises(RunFailed, match="no model"):
        rig.client.run(rig.job()).computed.result(TIMEOUT)


def test_input_pictures_go_and_results_come_and_nothing_is_left_there(rig: Rig) -> None:
    source = rig.folder / "source.png"
    source.write_bytes(b"pixels")
    rig.client.load(rig.spec)
    run = rig.client.run(rig.job(inputs={"init_image": str(source), "ref_images.0": str(source)}))
    assert run.finished.result(TIMEOUT).files == ("image_0.png",)
    (command, *_) = rig.commands
    assert set(command.inputs) == {"init_image", "ref_images.0"}
    assert str(source) not in command.inputs.values()
    assert (rig.folder / f"spool-{run.number}" / "image_0.png").read_bytes()[:4] == b"\x89PNG"
    assert [path.name for path in (rig.folder / "jobs").glob("host-*/*")] == []
    assert rig.link.carrier.pieces == {}


def test_a_picture_that_cannot_be_sent_fails_its_job_and_no_other(rig: Rig) -> None:
    rig.client.load(rig.spec)
    run = rig.client.run(rig.job(inputs={"init_image": str(rig.folder / "gone.png")}))
    with pytest.raises(RunFailed, match="picture init_image of the job did not come"):
        run.computed.result(TIMEOUT)
    rig.client.run(rig.job()).finished.result(TIMEOUT)


@pytest.fixture
def sharing(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, shares_files=True)
    yield rig
    rig.client.stop(5)


def test_shared_files_are_not_sent(sharing: Rig) -> None:
    source = sharing.folder / "source.png"
    source.write_bytes(b"pixels")
    sharing.wait_for_preview()
    sharing.client.load(sharing.spec)
    run = sharing.client.run(sharing.job(inputs={"init_image": str(source)}))
    run.finished.result(TIMEOUT)
    assert sharing.commands[0].inputs == {"init_image": str(source)}
    assert sharing.link.carrier.sizes == []
    spool = sharing.folder / f"spool-{run.number}"
    assert (spool / "image_0.png").read_bytes()[:4] == b"\x89PNG"
    assert Path(sharing.first_preview()).parent == spool
    assert [one.name for one in sharing.folder.glob("spool*")] == [spool.name]


def test_an_engine_that_was_believed_gone_gets_nothing_between_the_files_of_its_job(sharing: Rig) -> None:
    sharing.client.load(sharing.spec)
    run = sharing.client.run(sharing.job("fake:hold"))
    sharing.began.wait(TIMEOUT)
    sharing.link.cut()
    with pytest.raises(EngineLost):
        run.computed.result(TIMEOUT)
    desk = Path(sharing.commands[0].spool)
    assert desk.parent == sharing.folder
    assert desk.name != f"spool-{run.number}"
    assert not desk.exists()


def test_an_engine_that_dies_there_leaves_nothing_in_a_shared_folder(sharing: Rig) -> None:
    sharing.client.load(sharing.spec)
    run = sharing.client.run(sharing.job("fake:die"))
    with pytest.raises(EngineDied):
        run.computed.result(TIMEOUT)
    assert list(sharing.folder.glob("spool*")) == []


def test_folders_that_the_other_machine_does_not_see_fail_the_job_in_words(sharing: Rig) -> None:
    sharing.client.load(sharing.spec)
    run = sharing.client.run(sharing.job(inputs={"init_image": "/elsewhere/source.png"}))
    with pytest.raises(RunFailed, match=r"source\.png is not in /elsewhere as the engine's machine sees it"):
        run.computed.result(TIMEOUT)
    assert list(sharing.folder.glob("spool*")) == [], "nothing of it stays"


def test_a_preview_is_a_file_of_this_machine(rig: Rig) -> None:
    rig.wait_for_preview()
    rig.client.load(rig.spec)
    rig.client.run(rig.job()).finished.result(TIMEOUT)
    path = Path(rig.first_preview())
    assert path.parent == rig.folder / "spool-1"
    assert path.read_bytes()[:2] == b"\xff\xd8"


def test_large_files_travel_in_pieces(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "PIECE_BYTES", 50)
    rig.client.load(rig.spec)
    run = rig.client.run(rig.job())
    run.finished.result(TIMEOUT)
    assert max(rig.link.carrier.sizes) <= 50 < sum(rig.link.carrier.sizes)
    assert (rig.folder / f"spool-{run.number}" / "image_0.png").read_bytes().endswith(b"IEND\xaeB`\x82")


@pytest.mark.parametrize("spoil", ["missing", "other"])
def test_a_model_that_is_not_there_or_another_one_is_a_failed_load_that_says_so(rig: Rig, spoil: str) -> None:
    model = rig.there / "model.gguf"
    model.unlink()
    if spoil == "other":
        model.write_bytes(b"another model")
    with pytest.raises(LoadFailed, match="not on this machine" if spoil == "missing" else "13 bytes, not 5"):
        rig.client.load(rig.spec)
    model.write_bytes(b"model")
    assert rig.client.load(rig.spec).key == rig.spec.key, "the engine is well"


def test_an_engine_that_dies_there_tells_how(rig: Rig) -> None:
    rig.client.load(rig.spec)
    run = rig.client.run(rig.job("fake:die"))
    with pytest.raises(EngineDied, match="simulated death") as caught:
        run.computed.result(TIMEOUT)
    assert not isinstance(caught.value, EngineLost)


@pytest.mark.parametrize("moment", ["load", "run", "idle"])
def test_a_machine_that_is_gone_loses_its_engine_and_what_waits_for_it(rig: Rig, moment: str) -> None:
    if moment == "load":
        hidden = rig.spec.model_copy(update={"model": FileRef(name="fake~load=0.2", path=rig.spec.model.path)})
        threading.Timer(0, rig.link.cut).start()
        with pytest.raises(EngineLost, match="machine two does not answer"):
            rig.client.load(hidden)
    elif moment == "run":
        rig.client.load(rig.spec)
        run = rig.client.run(rig.job("fake:hold"))
        rig.link.cut()
        for future in (run.computed, run.finished):
            with pytest.raises(EngineLost, match="machine two does not answer"):
                future.result(TIMEOUT)
    rig.link.cut()
    rig.client._reader.join(TIMEOUT)
    assert [type(death) for death in rig.deaths] == [EngineLost]
    with pytest.raises(EngineLost):
        rig.client.load(rig.spec)


def test_results_whose_pieces_are_gone_are_lost_and_no_half_picture_is_left(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.client.load(rig.spec)
    rig.client.run(rig.job()).finished.result(TIMEOUT)
    put = rig.link.carrier.put

    def lose(piece: bytes, beside_bytes: int = 0) -> object:
        number = put(piece)
        if piece.startswith(b"\x89PNG"):
            rig.link.carrier.pieces.pop(number)
        return number

    monkeypatch.setattr(rig.link.carrier, "put", lose)
    run = rig.client.run(rig.job())
    with pytest.raises(EngineLost, match="gone with its machine"):
        run.finished.result(TIMEOUT)
    assert not list((rig.folder / f"spool-{run.number}").glob("*.png*"))


def test_an_engine_that_is_ended_from_here_is_not_lost(rig: Rig) -> None:
    rig.client.load(rig.spec)
    run = rig.client.run(rig.job("fake:hold"))
    rig.client.kill()
    with pytest.raises(EngineDied) as caught:
        run.computed.result(TIMEOUT)
    assert not isinstance(caught.value, EngineLost)
