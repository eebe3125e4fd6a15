"""Model files come to another machine piece by piece: whole or not at all, and gone on with after a break."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.engine.client import EngineClient
from sdcpp_rest.engine.fake_runner import FakeRunner
from sdcpp_rest.engine.launchers import InlineLauncher
from sdcpp_rest.engine.remote import remote_engine
from sdcpp_rest.engine.remote.model_pieces import ModelPieces
from sdcpp_rest.engine.remote.model_places import ModelPlaces
from sdcpp_rest.errors import EngineDied, MachineFull
from tests.engine.conftest import TIMEOUT
from tests.engine.remote.thread_link import RemoteLauncher, ThreadLink

CONTENT = bytes(range(256)) * 4


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A model of the server's, as the other machine is told of it."""
    here = tmp_path / "here" / "vae"
    here.mkdir(parents=True)
    (here / "a.gguf").write_bytes(CONTENT)
    return ModelPlaces({"models": tmp_path / "here"}).place_of(str(here / "a.gguf"))


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there"


def pieces_of(there: Path, mark: str = "engine-0", reserve_bytes: int = 0) -> ModelPieces:
    return ModelPieces(ModelPlaces({"models": there}), mark, reserve_bytes)


def test_a_file_is_there_when_its_last_piece_is(place: str, there: Path) -> None:
    pieces, target = pieces_of(there), there / "vae" / "a.gguf"
    assert pieces.find_missing([place]) == [(place, 0)]
    pieces.add(place, 0, CONTENT[:600])
    assert not target.exists()
    assert ModelPlaces({"models": there}).list_files() == {}
    assert pieces_of(there).find_missing([place]) == [(place, 600)], "another host goes on with it"
    assert pieces_of(there, "engine-1").find_missing([place]) == [(place, 0)], "another engine's is its own"
    pieces.add(place, 600, CONTENT[600:])
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["a.gguf"]
    assert pieces.find_missing([place]) == []


def test_what_is_left_of_an_earlier_file_is_overwritten(place: str, there: Path) -> None:
    pieces = pieces_of(there)
    pieces.add(place, 0, b"x" * 900)
    pieces.add(place, 0, CONTENT[:500])
    assert pieces.find_missing([place]) == [(place, 500)]
    pieces.add(place, 500, CONTENT[500:])
    assert (there / "vae" / "a.gguf").read_bytes() == CONTENT


def test_a_full_disk_is_told_before_it_is_full(place: str, there: Path) -> None:
    with pytest.raises(OSError, match=r"a\.gguf: the disk has"):
        pieces_of(there, reserve_bytes=1 << 60).add(place, 0, CONTENT)
    assert not list(there.rglob("*.gguf*"))


def test_a_folder_that_cannot_be_written_is_told(place: str, there: Path) -> None:
    there.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="there"):
        pieces_of(there).add(place, 0, CONTENT)


class Rig:
    """An engine on a machine without models, which is given them."""

    def __init__(self, folder: Path) -> None:
        self.here, self.there, self.folder = folder / "here", folder / "there", folder
        self.there.mkdir()
        path = self.here / "vae" / "a.gguf"
        self.spec = LoadSpec(model=FileRef(name="a.gguf", path=str(path)), kind="diffusion")
        self.links: list[ThreadLink] = []
        self.launcher = RemoteLauncher(self.open, ModelPlaces({"models": self.here}), sends_models=True)

    def open(self) -> ThreadLink:
        inside = InlineLauncher(lambda: FakeRunner(inline=True))
        self.links.append(ThreadLink(inside, ModelPlaces({"models": self.there}), self.folder / "engine-0" / "jobs"))
        return self.links[-1]


def test_a_load_waits_for_its_model(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_engine, "PIECE_BYTES", 100)
    rig = Rig(tmp_path)
    client = EngineClient(rig.launcher)
    client.wait_ready(TIMEOUT)
    assert client.load(rig.spec).key == rig.spec.key
    assert (rig.there / "vae" / "a.gguf").read_bytes() == CONTENT
    assert max(rig.links[0].carrier.sizes) == 100
    assert rig.links[0].carrier.pieces == {}
    client.stop(TIMEOUT)


def test_a_transfer_that_is_broken_off_is_gone_on_with(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_engine, "PIECE_BYTES", 100)
    rig = Rig(tmp_path)
    client = EngineClient(rig.launcher)
    client.wait_ready(TIMEOUT)
    link, offsets = rig.links[0], []
    add = link.add_piece

    def cut_in_the_middle(place: str, offset: int, piece: object) -> str:
        if offset == 500:
            link.cut()
        return add(place, offset, piece)

    monkeypatch.setattr(link, "add_piece", cut_in_the_middle)
    with pytest.raises(EngineDied):
        client.load(rig.spec)
    again = EngineClient(rig.launcher)
    again.wait_ready(TIMEOUT)
    add_again = rig.links[1].add_piece

    def note(place: str, offset: int, piece: object) -> str:
        offsets.append(offset)
        return add_again(place, offset, piece)

    monkeypatch.setattr(rig.links[1], "add_piece", note)
    again.load(rig.spec)
    assert offsets[0] == 500
    assert (rig.there / "vae" / "a.gguf").read_bytes() == CONTENT
    again.stop(TIMEOUT)


def test_a_model_that_cannot_be_kept_is_a_failed_load_that_says_why(place: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    client = EngineClient(rig.launcher)
    client.wait_ready(TIMEOUT)
    rig.links[0].host._pieces._reserve_bytes = 1 << 60
    with pytest.raises(MachineFull, match=r"machine has no room .*: a\.gguf: the disk has"):
        client.load(rig.spec)
    rig.links[0].host._pieces._reserve_bytes = 0
    assert client.load(rig.spec).key == rig.spec.key
    client.stop(TIMEOUT)
