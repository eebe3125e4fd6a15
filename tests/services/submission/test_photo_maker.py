"""PhotoMaker dies of prompts and files that are not as it wants them; none of these reaches it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.submission.photo_maker import check_embedding, check_trigger, find_embedding, is_second_version
from tests.cases import for_each_case
from tests.services.conftest import House, config_below, spec_named


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(config_below(tmp_path_factory.mktemp("house")), "inline")
    yield made
    made.stop()


def face(shape: tuple[int, ...] = (512, 2), *, kind: int = 0, name: bytes = b"id", missing_bytes: int = 0) -> bytes:
    count = 1
    for side in shape:
        count *= max(1, side)
    head = struct.pack(f"<3i{len(shape)}i", len(shape), len(name), kind, *shape) + name
    return head + bytes(4 * min(count, 10_000) - missing_bytes)


def with_photo_maker(path: str) -> LoadSpec:
    return spec_named("sdxl.safetensors").model_copy(
        update={"components": {"photo_maker": FileRef(name=Path(path).name, path=path)}}
    )


@for_each_case(
    "prompt",
    [
        "a man img",
        "a man IMG, on a beach",
        "(a woman img:1.2) in a park",
        "photo of a (girl img), imgs and imgur",
        "a man img <lora:demo_lora:0.5>",
        "a man img2",
        "BREAK a man img",
    ],
)
def test_trigger_after_a_word_is_taken(prompt: str) -> None:
    check_trigger(prompt)


@for_each_case(
    ("prompt", "words"),
    [
        ("", "it is not there"),
        ("a man", "it is not there"),
        ("a man imgs imgur", "it is not there"),
        ("a man <lora:img:1>", "it is not there"),
        ("img a man", "no word stands before it"),
        ("  , img", "no word stands before it"),
        ("a man (img)", "no word stands before it"),
        ("a man [img]", "no word stands before it"),
        ("(a man) img", "no word stands before it"),
        ("a man BREAK img", "no word stands before it"),
        ("a man img and a woman img", "it is there 2 times"),
    ],
)
def test_prompt_that_would_end_the_library_is_refused(prompt: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=f"'img' once.*; {words}") as caught:
        check_trigger(prompt)
    assert caught.value.detail["field"] == "prompt"


@pytest.mark.parametrize(
    ("path", "second"), [("/m/photomaker-v1.bin", False), ("/m/photomaker-v2.bin", True), ("/v2/x.bin", True)]
)
def test_version_is_what_the_library_takes_it_for(path: str, second: bool) -> None:
    assert is_second_version(with_photo_maker(path)) == second


def test_embedding_is_found_by_name_and_by_path_below_the_folders(house: House) -> None:
    models = house.config.paths.models_dir
    beside = models / "checkpoints" / "faces"
    for path in (models / "embeddings" / "anna.bin", beside / "id_embeds.bin", models / "vae" / "sub" / "x.dat"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(face())
    house.runtime.models.library.refresh()
    spec = with_photo_maker(str(beside / "photomaker-v2.safetensors"))
    library = house.runtime.models.library
    assert find_embedding(library, "anna", spec).path == str(models / "embeddings" / "anna.bin")
    assert find_embedding(library, "id_embeds.bin", spec).path == str(beside / "id_embeds.bin")
    assert find_embedding(library, "sub/x.dat", spec).path == str(models / "vae" / "sub" / "x.dat")
    assert find_embedding(library, str(models / "vae" / "sub" / "x.dat"), spec).name == "x.dat"


@for_each_case(
    "name",
    ["nobody", "/etc/passwd", "../../../../../../../../etc/passwd", "link.dat", "a\0b", "x" * 5_000, ".", "embeddings"],
)
def test_file_outside_the_folders_is_not_there(house: House, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside.dat"
    outside.write_bytes(face())
    folder = house.config.paths.models_dir / "embeddings"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "link.dat"
    if not link.is_symlink():
        os.symlink(outside, link)
    with pytest.raises(InvalidRequest, match="pm_id_embed_path: there is no file") as caught:
        find_embedding(house.runtime.models.library, name, with_photo_maker(str(tmp_path / "photomaker-v2.bin")))
    assert caught.value.detail["field"] == "pm_id_embed_path"
    assert len(caught.value.message) < 400


def kept(tmp_path: Path, content: bytes) -> FileRef:
    path = tmp_path / "face.bin"
    path.write_bytes(content)
    return FileRef(name="face.bin", path=str(path))


def test_file_about_as_many_pictures_is_taken(tmp_path: Path) -> None:
    check_embedding(kept(tmp_path, face((512, 2))), 2)
    check_embedding(kept(tmp_path, face((512,), name=b"")), 1)
    check_embedding(kept(tmp_path, face((16, 3, 1, 1))), 3)


def test_file_about_another_number_of_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="was made for 2 pictures, and pm_id_images has 3"):
        check_embedding(kept(tmp_path, face((512, 2))), 3)


@for_each_case(
    "content",
    [
        b"",
        b"\x02\x00\x00\x00",
        b"PK\x03\x04" + bytes(100),
        face((1, 2, 3, 4, 5)),
        struct.pack("<3i", 2**31 - 1, 0, 0) + bytes(100),
        struct.pack("<3i", -1, 0, 0) + bytes(100),
        struct.pack("<5i", 2, -1, 0, 512, 2) + bytes(5_000),
        struct.pack("<5i", 2, 2**31 - 1, 0, 512, 2) + bytes(5_000),
        face((512, 2), kind=1),
        face((512, 0)),
        face((512, -2)),
        face((65_537, 2)),
        face((512, 2), missing_bytes=1),
        struct.pack("<2i", 2, 0),
    ],
)
def test_file_that_the_library_would_read_wrong_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"face\.bin is not a file about a face") as caught:
        check_embedding(kept(tmp_path, content), 2)
    assert caught.value.detail["field"] == "pm_id_embed_path"


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"gone\.bin cannot be read"):
        check_embedding(FileRef(name="gone.bin", path=str(tmp_path / "gone.bin")), 2)
