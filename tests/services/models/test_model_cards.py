from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdcpp_rest.services.models import model_cards
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.model_cards import ModelCard, ModelCards
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.hash_store import HashStore
from tests import model_files
from tests.model_files import gguf_bytes, reversed_shapes, safetensors_bytes, write

OLD = (1_700_000_000, 1_700_000_000)
FLUX_DEV = {**model_files.FLUX, "guidance_in.in_layer.weight": (256, 128)}


class Shop:
    """A library with cards over it, and a clock that only goes when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "models"
        self.database = Database(folder / "rest.db")
        self.library = ModelLibrary(self.folder)
        self.hashes = ModelHashes(self.library, HashStore(self.database))
        self.now = 0.0
        self.step = 0.0
        self.cards = ModelCards(self.library, self.hashes, self._tick)

    def _tick(self) -> float:
        self.now += self.step
        return self.now

    def add(self, name: str, content: bytes) -> Path:
        path = write(self.folder / name, content)
        self.settle()
        return path

    def settle(self) -> None:
        """As if everything had been there for long: what changed a moment ago is looked at again and again."""
        for path in self.folder.rglob("*"):
            os.utime(path, OLD)
        os.utime(self.folder, OLD)

    def card(self, name: str, kind: str = "lora") -> ModelCard:
        return self.cards.card(self.library.find(kind, name))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    one = Shop(tmp_path)
    yield one
    one.database.close()


def lora(**metadata: str) -> bytes:
    return safetensors_bytes(reversed_shapes(model_files.KOHYA_LORA), metadata=metadata)


def test_card_tells_family_and_variant(shop: Shop) -> None:
    shop.add("diffusion_models/flux1-kontext.gguf", gguf_bytes(FLUX_DEV))
    header = shop.card("flux1-kontext", "diffusion").header
    assert header is not None
    assert (header.contents, header.architecture, header.preset) == ("picture model", "flux", "Flux-Kontext")
    assert header.parameter_count > 0


def test_card_keeps_notes_about_the_model_and_no_others(shop: Shop) -> None:
    named = {"modelspec.title": " T ", "title": "other", "author": "somebody", "ss_steps": "7", "modelspec.x": "y"}
    shop.add("loras/a.safetensors", lora(**named))
    card = shop.card("a")
    assert card.notes == {"title": "T", "author": "somebody", "x": "y"}
    assert (card.title, card.stem, card.trigger_phrase) == ("T", "a", "")


def test_trigger_words_are_what_the_language_of_prompts_writes(shop: Shop) -> None:
    header = {"modelspec.trigger_phrase": "from the header"}
    for name, metadata in (("a", header), ("b", header), ("c", header), ("d", {"trained_words": "x, y"}), ("e", {})):
        shop.add(f"loras/{name}.safetensors", lora(**metadata))
    shop.add("loras/a.json", json.dumps({"activation text": "from the sidecar"}).encode())
    shop.add("loras/b.swarm.json", json.dumps({"modelspec.trigger_phrase": "from the notes"}).encode())
    found = [shop.card(name).trigger_phrase for name in "abcde"]
    assert found == ["from the sidecar", "from the notes", "from the header", "x, y", ""]


def test_notes_beside_the_file_win(shop: Shop) -> None:
    shop.add("loras/a.safetensors", lora(**{"modelspec.title": "old", "modelspec.author": "kept"}))
    notes = {"modelspec.title": "new", "modelspec.tags": ["x", "y"], "modelspec.date": None, "n": 5}
    shop.add("loras/a.swarm.json", json.dumps(notes).encode())
    assert shop.card("a").notes == {"title": "new", "author": "kept", "tags": "x,y"}


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"title": "' + b"x" * (1 << 21) + b'"}']
)
def test_notes_that_cannot_be_understood_are_left_out(shop: Shop, content: bytes) -> None:
    shop.add("loras/a.safetensors", lora(**{"modelspec.title": "T"}))
    shop.add("loras/a.swarm.json", content)
    assert shop.card("a").title == "T"


def test_damaged_file_has_a_card_without_a_header(shop: Shop) -> None:
    shop.add("loras/a.safetensors", b"nothing")
    assert shop.card("a").header is None
    assert [card.title for card in shop.cards.cards("lora")] == ["a"]


def test_card_is_the_same_while_nothing_changes(shop: Shop) -> None:
    shop.add("loras/a.safetensors", lora())
    listed = shop.cards.cards("lora")
    assert shop.cards.cards("lora") is listed
    assert shop.card("a") is listed[0]


def test_card_is_another_when_something_changes(shop: Shop) -> None:
    path = shop.add("loras/a.safetensors", lora())
    seen = [*shop.cards.cards("lora")]
    write(path.with_suffix(".png"), b"picture")
    seen += shop.cards.cards("lora")
    write(path.with_suffix(".json"), b'{"description": "words"}')
    seen += shop.cards.cards("lora")
    shop.hashes.hash_of("lora", "a")
    seen += shop.cards.cards("lora")
    path.write_bytes(lora(**{"modelspec.title": "T"}))
    seen += [shop.card("a")]
    assert len({id(card) for card in seen}) == len(seen) == 5
    assert [card.preview is not None for card in seen] == [False, True, True, True, True]
    assert [card.sidecar is not None for card in seen] == [False, False, True, True, True]
    assert [bool(card.sha256) for card in seen] == [False, False, False, True, False]
    assert seen[-1].title == "T"


def test_headers_are_read_for_a_bounded_time_and_the_next_call_goes_on(shop: Shop) -> None:
    for name in "abcde":
        shop.add(f"loras/{name}.safetensors", lora())
    shop.step = model_cards.READ_SECONDS / 2
    unread = []
    for _ in range(4):
        listed = shop.cards.cards("lora")
        assert [card.stem for card in listed] == [*"abcde"], "all are listed, whether they were read or not"
        unread.append(sum(card.header is None for card in listed))
    assert unread == [3, 1, 0, 0]


def test_files_of_several_folders_know_their_own_neighbours(shop: Shop) -> None:
    for folder in ("one", "two"):
        shop.add(f"loras/{folder}/a.safetensors", lora())
    shop.add("loras/two/a.jpg", b"picture")
    listed = {card.file.name: card.preview for card in shop.cards.cards("lora")}
    assert listed["one/a.safetensors"] is None
    assert listed["two/a.safetensors"] is not None
