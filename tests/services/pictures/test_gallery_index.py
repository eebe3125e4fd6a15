from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdcpp_rest.core.gallery import GalleryFilter
from sdcpp_rest.services.pictures import gallery_facts, gallery_index
from sdcpp_rest.services.pictures.gallery_index import GalleryIndex
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.gallery_store import GalleryStore

RECORD = {"job_id": "job", "params": {"prompt": "a boat"}}


class Rig:
    def __init__(self, folder: Path) -> None:
        self.db = Database(folder / "rest.db")
        self.store = GalleryStore(self.db)
        self.outputs = Outputs(folder / "output", folder / "inputs")
        self.index = GalleryIndex(self.store, self.outputs)
        self.root = self.outputs.output_dir

    def publish(self, job_id: str, pictures: int = 1) -> None:
        spool = self.outputs.spool_of(job_id)
        spool.mkdir(parents=True)
        names = [f"image_{number}.png" for number in range(pictures)]
        for name in names:
            Image.new("RGB", (8, 8)).save(spool / name)
        self.outputs.publish(job_id, names, {**RECORD, "job_id": job_id})

    def settle(self) -> None:
        """Make all folders older than the grain of the disk's clock."""
        for folder, _, _ in os.walk(self.root):
            os.utime(folder, (1000, 1000))

    def paths(self, **wanted: Any) -> list[str]:
        self.index.settle()
        return sorted(one.facts.path for one in self.store.page(GalleryFilter(**wanted), "desc", 100))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.index.stop()
    rig.db.close()


def test_what_is_published_is_there_for_whoever_looks(rig: Rig) -> None:
    rig.publish("job", 2)
    assert rig.paths() == rig.paths(words=("boat",)) == ["job/image_0.png", "job/image_1.png"]


def test_what_is_published_is_indexed_without_anybody_looking(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery_index, "_FIRST_SCAN_AFTER_SECONDS", 1000)
    monkeypatch.setattr(gallery_index, "_PAUSE_SECONDS", 0)
    put_folders, done = rig.store.put_folders, threading.Event()

    def put(contents: Any) -> int:
        total = put_folders(contents)
        done.set()
        return total

    monkeypatch.setattr(rig.store, "put_folders", put)
    rig.index.start()
    rig.publish("job")
    assert done.wait(20)
    assert [one.facts.path for one in rig.store.page(GalleryFilter(), "desc", 9)] == ["job/image_0.png"]


def test_what_is_published_before_a_stop_is_indexed(rig: Rig) -> None:
    rig.publish("job")
    rig.index.stop()
    assert [one.facts.path for one in rig.store.page(GalleryFilter(), "desc", 9)] == ["job/image_0.png"]


def test_what_is_published_while_its_folder_is_read_is_read_once_more(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.publish("job")
    read_folder = gallery_facts.read_folder

    def read(root: Path, folder: str) -> Any:
        monkeypatch.setattr(gallery_facts, "read_folder", read_folder)
        found = read_folder(root, folder)
        rig.outputs.retitle("job", "another")
        return found

    monkeypatch.setattr(gallery_facts, "read_folder", read)
    rig.index.settle()
    rig.index.settle()
    assert [one.facts.title for one in rig.store.page(GalleryFilter(), "desc", 9)] == ["another"]


def test_an_index_is_made_anew_from_the_disk_alone(rig: Rig) -> None:
    rig.publish("job")
    Image.new("RGB", (8, 8)).save(rig.root / "by_hand.png")
    rig.settle()
    assert rig.index.scan(anew=True) == 2
    assert rig.paths() == ["by_hand.png", "job/image_0.png"]


def test_a_scan_reads_only_folders_that_have_changed(rig: Rig) -> None:
    for job_id in ("one", "two"):
        rig.publish(job_id)
    rig.settle()
    assert rig.index.scan() == 2
    assert rig.index.scan() == 0
    Image.new("RGB", (8, 8)).save(rig.root / "by_hand.png")
    (rig.root / "sub").mkdir()
    Image.new("RGB", (8, 8)).save(rig.root / "sub" / "a.png")
    assert rig.index.scan() == 2
    (rig.root / "by_hand.png").unlink()
    shutil.rmtree(rig.root / "one")
    shutil.rmtree(rig.root / "sub")
    rig.index.scan()
    assert rig.paths() == ["two/image_0.png"]


def test_what_came_in_the_same_tick_as_a_scan_is_found_by_the_next_one(rig: Rig) -> None:
    (rig.root / "sub").mkdir()
    Image.new("RGB", (8, 8)).save(rig.root / "sub" / "a.png")
    moment = os.stat(rig.root / "sub").st_mtime_ns
    rig.index.scan()
    Image.new("RGB", (8, 8)).save(rig.root / "sub" / "b.png")
    os.utime(rig.root / "sub", ns=(moment, moment))
    rig.index.scan()
    assert rig.paths() == ["sub/a.png", "sub/b.png"]


def test_hidden_folders_and_links_are_not_looked_at(rig: Rig, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.new("RGB", (8, 8)).save(elsewhere / "private.png")
    os.symlink(elsewhere, rig.root / "link")
    os.symlink(rig.root, rig.root / "loop")
    (rig.root / ".hidden").mkdir()
    Image.new("RGB", (8, 8)).save(rig.root / ".hidden" / "a.png")
    rig.index.scan()
    assert rig.paths() == []


def test_the_bin_hides_and_brings_back(rig: Rig) -> None:
    rig.publish("job")
    rig.outputs.bin("job")
    assert (rig.paths(), rig.paths(is_deleted=True)) == ([], ["job/image_0.png"])
    rig.index.scan()
    rig.outputs.restore("job")
    assert rig.paths() == ["job/image_0.png"]
    rig.outputs.bin("job")
    rig.outputs.purge("job")
    assert rig.paths(is_deleted=True) == []


def test_what_is_removed_is_forgotten(rig: Rig) -> None:
    rig.publish("one", 2)
    rig.publish("two")
    rig.outputs.remove("one/image_0.png")
    rig.outputs.discard("two")
    assert rig.paths() == ["one/image_1.png"]
    rig.outputs.remove("./one/")
    assert rig.paths() == []


def test_a_database_that_refuses_does_not_keep_a_job_from_being_published(rig: Rig) -> None:
    rig.db.close()
    rig.publish("job")
    assert (rig.root / "job" / "image_0.png").is_file()


def test_names_that_are_no_text_are_left_alone(rig: Rig) -> None:
    (rig.root / os.fsdecode(b"sub\xff")).mkdir()
    Image.new("RGB", (8, 8)).save(os.fsdecode(os.fsencode(rig.root) + b"/a\xff.png"))
    assert rig.index.scan() == 0


def test_a_stop_ends_a_scan_in_the_middle(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        rig.publish(f"job{number}")
    monkeypatch.setattr(gallery_index, "_FOLDERS_AT_ONCE", 1)
    monkeypatch.setattr(gallery_index, "_FIRST_SCAN_AFTER_SECONDS", 0)
    inside, go_on = threading.Event(), threading.Event()
    put_folders = rig.store.put_folders

    def wait(contents: Any) -> int:
        inside.set()
        assert go_on.wait(20)
        return put_folders(contents)

    monkeypatch.setattr(rig.store, "put_folders", wait)
    rig.index.start()
    assert inside.wait(20)
    stopping = threading.Thread(target=rig.index.stop)
    stopping.start()
    go_on.set()
    stopping.join(20)
    assert not stopping.is_alive()


def test_what_goes_into_the_bin_during_a_scan_stays_there(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.publish("job")
    rig.index.settle()
    (kept,) = rig.store.page(GalleryFilter(), "desc", 1)
    read_folder, binning = gallery_facts.read_folder, []

    def read(root: Path, folder: str) -> Any:
        found = read_folder(root, folder)
        if folder == "job":
            binning.append(threading.Thread(target=rig.outputs.bin, args=("job",)))
            binning[0].start()
            binning[0].join(0.2)
        return found

    monkeypatch.setattr(gallery_facts, "read_folder", read)
    rig.index.scan()
    binning[0].join(20)
    assert (rig.paths(), rig.paths(is_deleted=True)) == ([], ["job/image_0.png"])
    rig.index.scan()
    rig.outputs.restore("job")
    assert [one.id for one in rig.store.page(GalleryFilter(), "desc", 9)] == [kept.id]


def test_job_that_was_deleted_before_it_was_indexed_is_there_when_it_is_back(rig: Rig) -> None:
    rig.publish("job")
    rig.outputs.bin("job")
    rig.store.forget_all()
    assert rig.paths() == []
    rig.outputs.restore("job")
    assert rig.paths() == ["job/image_0.png"]
