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
        (lambda there: (there / "a.gguf").write_bytes(b"other"), "SHA-256 is"),
        (lambda there: (there / "a.gguf").write_bytes(b"longer"), "6 bytes, not 5"),
    ],
)
def test_a_missing_file_and_another_one_of_its_name_are_refused(
    here: Path, there: Path, spoil: Any, words: str
) -> None:
    def sum_of(path: str) -> str | None:
        return Path(path).read_bytes().hex()

    sent = ModelPlaces({"models": here}, sum_of).send(message_of(here))
    assert ModelPlaces({"models": there}, sum_of).receive(sent) == message_of(there)
    spoil(there)
    with pytest.raises(PlaceError, match=words):
        ModelPlaces({"models": there}, sum_of).receive(sent)


def test_a_sum_that_one_side_does_not_know_refuses_nothing(here: Path, there: Path) -> None:
    sent = ModelPlaces({"models": here}, lambda path: "sum").send(message_of(here))
    assert ModelPlaces({"models": there}).receive(sent) == message_of(there)


def test_a_file_outside_of_the_folders_has_no_place(here: Path, tmp_path: Path) -> None:
    with pytest.raises(PlaceError, match=r"elsewhere\.gguf lies in none"):
        ModelPlaces({"models": here}).place_of(str(tmp_path / "elsewhere.gguf"))


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "vae/../../secret"])
def test_no_place_leads_out_of_the_folder(here: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    place = ModelPlaces({"models": here}).place_of(str(here / "a.gguf")).replace("a.gguf", name)
    with pytest.raises(PlaceError, match="no folder called models"):
        ModelPlaces({"models": here}).path_at(place)
