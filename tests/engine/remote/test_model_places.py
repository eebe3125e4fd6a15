"""Model files are found on another machine by their names, and only if they are the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.engine.remote.model_places import ModelPlaces, PlaceError


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "there")


def make_folder(folder: Path) -> Path:
    (folder / "vae").mkdir(parents=True)
    (folder / "a.gguf").write_bytes(b"model")
    (folder / "vae" / "b.gguf").write_bytes(b"vae")
    return folder


def message_of(folder: Path) -> Any:
    vae = FileRef(name="b.gguf", path=str(folder / "vae" / "b.gguf"))
    model = FileRef(name="a.gguf", path=str(folder / "a.gguf"))
    spec = LoadSpec(model=model, kind="diffusion", components={"vae": vae}, embeddings=(vae,))
    return {"type": "load_model", "spec": spec.model_dump(mode="json")}


def test_each_file_of_a_message_is_found_on_the_other_machine(here: Path, there: Path) -> None:
    sent = ModelPlaces({"models": here}).send(message_of(here))
    assert str(here) not in str(sent)
    assert ModelPlaces({"models": there}).receive(sent) == message_of(there)


def test_what_is_no_model_file_stays_as_it_is(here: Path) -> None:
    message = {"params": {"prompt": str(here), "loras": [], "path": ""}, "steps": 3, "inputs": {"mask": str(here)}}
    assert ModelPlaces({"models": here}).send(message) == message


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda there: (there / "a.gguf").unlink(), "a.gguf is not on this machine"),
        (lambda there: (there / "a.gguf").write_bytes(b"other"), "as many bytes, and other ones"),
        (lambda there: (there / "a.gguf").write_bytes(b"longer"), "6 bytes, not 5"),
    ],
)
def test_a_missing_file_and_another_one_of_its_name_are_refused(
    here: Path, there: Path, spoil: Any, words: str
) -> None:
    sent = ModelPlaces({"models": here}).send(message_of(here))
    assert ModelPlaces({"models": there}).receive(sent) == message_of(there)
    spoil(there)
    with pytest.raises(PlaceError, match=words):
        ModelPlaces({"models": there}).receive(sent)


def test_a_change_in_the_middle_or_at_the_end_of_a_large_file_is_seen(here: Path, there: Path) -> None:
    content = bytearray(5 * 1024 * 1024)
    (here / "a.gguf").write_bytes(content)
    place = ModelPlaces({"models": here}).place_of(str(here / "a.gguf"))
    for offset in (0, len(content) // 2, len(content) - 1):
        changed = content.copy()
        changed[offset] = 1
        (there / "a.gguf").write_bytes(changed)
        with pytest.raises(PlaceError, match="as many bytes, and other ones"):
            ModelPlaces({"models": there}).path_at(place)


def test_a_path_of_the_server_is_no_path_here(here: Path, tmp_path: Path) -> None:
    (tmp_path / "extra.gguf").write_bytes(b"model")
    message = {"type": "run_job", "params": {"loras": [{"path": str(tmp_path / "extra.gguf")}]}}
    with pytest.raises(PlaceError, match=r"extra\.gguf lies in none"):
        ModelPlaces({"models": here}).receive(message)


def test_a_file_outside_of_the_folders_has_no_place(here: Path, tmp_path: Path) -> None:
    with pytest.raises(PlaceError, match=r"elsewhere\.gguf lies in none"):
        ModelPlaces({"models": here}).place_of(str(tmp_path / "elsewhere.gguf"))


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "vae/../../secret"])
def test_no_place_leads_out_of_the_folder(here: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    place = ModelPlaces({"models": here}).place_of(str(here / "a.gguf")).replace("a.gguf", name)
    with pytest.raises(PlaceError, match="no folder called models"):
        ModelPlaces({"models": here}).path_at(place)
