"""Model folders of other programs are found by the names that these give them, listed after our own, and only read."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.catalog import LIST_NAMES
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.runtime import DEMO_MODEL, DEMO_ROOT
from sdcpp_rest.services.models.extra_folders import find_extra_folders
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec, resolve_loras
from sdcpp_rest.services.models.model_conversion import ConvertRequest
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.models.model_upload import UploadTarget
from tests.cases import for_each_case
from tests.model_files import LORA, gguf_bytes, reversed_shapes, safetensors_bytes, write
from tests.services.conftest import House

LORA_FILE = safetensors_bytes(reversed_shapes(LORA))


def add(folder: Path, *names: str, size: int = 1) -> None:
    for name in names:
        write(folder / name, b"x" * size)


def folders(*given: Path) -> dict[str, list[Path]]:
    return {kind: [one.path for one in found] for kind, found in find_extra_folders(given).by_type.items()}


def told(*given: Path) -> list[str]:
    return [*find_extra_folders(given).warnings]


def library_of(models_dir: Path, *given: Path, follow_links: bool = True) -> ModelLibrary:
    return ModelLibrary(models_dir, follow_links=follow_links, find_extra=partial(find_extra_folders, given))


def names(library: ModelLibrary) -> dict[str, list[str]]:
    return {kind: [file.name for file in files] for kind, files in library.list().items() if files}


# --- a program's folder ----------------------------------------------------------------------------------------------

A1111 = {
    "models/Stable-diffusion": "checkpoints", "models/VAE": "vae", "models/VAE-approx": "taesd", "models/Lora": "loras",
    "models/LyCORIS": "loras", "embeddings": "embeddings", "models/ESRGAN": "esrgan", "models/RealESRGAN": "esrgan",
    "models/SwinIR": "esrgan", "models/ControlNet": "controlnets", "models/text_encoder": "clip",
}  # fmt: skip
COMFYUI = {
    "models/checkpoints": "checkpoints", "models/diffusion_models": "diffusion_models", "models/vae": "vae",
    "models/unet": "diffusion_models", "models/vae_approx": "taesd", "models/loras": "loras", "models/clip": "clip",
    "models/text_encoders": "clip", "models/clip_vision": "clip", "models/controlnet": "controlnets",
    "models/upscale_models": "esrgan", "models/embeddings": "embeddings",
}  # fmt: skip
OURS = {
    "checkpoints": "checkpoints", "diffusion_models": "diffusion_models", "vae": "vae", "loras": "loras",
    "clip": "clip", "t5": "t5", "controlnet": "controlnets", "llm": "llm", "esrgan": "esrgan", "taesd": "taesd",
    "embeddings": "embeddings",
}  # fmt: skip


@pytest.mark.parametrize("layout", [A1111, COMFYUI, OURS], ids=["AUTOMATIC1111", "ComfyUI", "ours"])
def test_folders_are_known_by_the_names_that_programs_give_them(tmp_path: Path, layout: dict[str, str]) -> None:
    program, expected = tmp_path / "program", dict[str, list[str]]()
    for number, (folder, kind) in enumerate(layout.items()):
        add(program / folder, f"{number:02}.safetensors", "notes.txt")
        expected.setdefault(kind, []).append(f"{number:02}.safetensors")
    add(program / "models" / "hypernetworks", "x.pt")
    add(program / "outputs", "x.safetensors")
    library = library_of(tmp_path / "models", program)
    assert names(library) == expected
    assert library.incomplete() == []
    assert all(file.is_extra for files in library.list().values() for file in files)
    assert library.folders()["lora"] == tmp_path / "models" / "loras"


def test_the_models_folder_of_a_program_will_do(tmp_path: Path) -> None:
    add(tmp_path / "webui/models/Stable-diffusion", "a.safetensors")
    assert names(library_of(tmp_path / "models", tmp_path / "webui/models")) == {"checkpoints": ["a.safetensors"]}


def test_what_is_not_there_is_told_and_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    empty, known = tmp_path / "empty", "checkpoints, loras, Stable-diffusion, Lora"
    empty.mkdir()
    library = library_of(tmp_path / "models", tmp_path / "missing", empty, tmp_path / "missing.yaml")
    library.refresh()
    assert names(library) == {}
    assert [text.replace(str(tmp_path), "") for text in library.incomplete()] == [
        "paths.extra_model_dirs: /missing cannot be read: No such file or directory",
        f"paths.extra_model_dirs: /empty has no folder of a name that is known ({known} and the like)",
        "paths.extra_model_dirs: /missing.yaml cannot be read: No such file or directory",
    ]
    assert caplog.text.count("missing cannot be read") == 1


def test_a_file_in_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (text,) = told(write(tmp_path / "file", b"x"))
    assert text.endswith("file cannot be read: Not a directory")


# --- ComfyUI's file --------------------------------------------------------------------------------------------------


def yaml_file(folder: Path, text: str) -> Path:
    return write(folder / "extra_model_paths.yaml", text.encode())


def test_sections_list_folders_below_their_base(tmp_path: Path) -> None:
    for folder in ("webui/models/Stable-diffusion", "webui/models/Lora", "webui/models/LyCORIS", "comfy/models/unet"):
        (tmp_path / folder).mkdir(parents=True)
    path = yaml_file(
        tmp_path,
        f"""
        # as the example in ComfyUI has it
        a111:
            base_path: {tmp_path}/webui/
            checkpoints: models/Stable-diffusion
            configs: models/Stable-diffusion
            loras: |
                 models/Lora

                 models/LyCORIS
            hypernetworks: models/hypernetworks
        comfyui:
            base_path: comfy
            unet: models/unet/
            custom_nodes: custom_nodes
        other_ui:
        """,
    )
    assert folders(path) == {
        "checkpoint": [tmp_path / "webui/models/Stable-diffusion"],
        "lora": [tmp_path / "webui/models/Lora", tmp_path / "webui/models/LyCORIS"],
        "diffusion": [tmp_path / "comfy/models/unet"],
    }
    found = find_extra_folders([path])
    assert found.warnings == ()
    (note,) = found.notes
    assert note.endswith("no model is of that kind here: configs, hypernetworks, custom_nodes")


@for_each_case(
    ("text", "expected"),
    [
        ("c:\n  loras: {here}/a\n", ["a"]),
        ("c:\n  loras: a\n", ["a"]),
        ("c:\n  base_path: .\n  loras: a\n", ["a"]),
        ("c:\n  base_path: ~\n  loras: a\n", ["a"]),
        ("c:\n  base_path: $HOME/b\n  loras: ../a\n", ["a"]),
        ("c:\n  loras: ~/a\n", ["a"]),
        ("c:\n  loras: [a, b]\n", ["a", "b"]),
        ("c:\n  loras: >-\n    a\n\n    b\n", ["a", "b"]),
        ("base_path: {here}\nloras: |\n  a\n  b\n", ["a", "b"]),
        ("c: {{base_path: '{here}', loras: a}}\nd: {{loras: b}}\n", ["a", "b"]),
        ("c:\n  loras: a\nd:\n  is_default: true\n  loras: b\n", ["b", "a"]),
        ("x: &x\n  base_path: {here}\nc:\n  <<: *x\n  loras: a\n", ["a"]),
        ("c:\n  LoRAs: a\n  Lora: b\n", ["a", "b"]),
        ("c:\n  loras:\n", []),
        ("\ufeffc:\n  loras: a\n", ["a"]),
    ],
)
def test_the_file_may_be_written_in_several_ways(
    tmp_path: Path, text: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    path = yaml_file(tmp_path, text.format(here=tmp_path))
    assert folders(path).get("lora", []) == [tmp_path / name for name in expected]
    assert told(path) == []


@pytest.mark.slow
@for_each_case(
    ("text", "words"),
    [
        ("a: [\n", "cannot be understood: while parsing"),
        ("- a\n", "has no sections of folders"),
        ("", "has no sections of folders"),
        ("a: !!python/object/apply:os.system ['true']\n", "cannot be understood: could not determine a constructor"),
        ("a: 7\nb: {loras: .}\n", "a is not a section of folders"),
        ("a: {loras: 7}\n", "loras is neither a path nor some paths"),
        ("a: {loras: [7]}\n", "loras is neither a path nor some paths"),
        ("a: {loras: nothing}\n", "loras: there is no folder"),
        ("a: {loras: '" + "x" * (1 << 20) + "'}\n", "it is too large"),
        ("[" * 5000, "cannot be understood"),
    ],
)
def test_a_file_that_makes_no_sense_is_told_and_no_error(tmp_path: Path, text: str, words: str) -> None:
    (warning,) = told(yaml_file(tmp_path, text))
    assert warning.startswith(f"paths.extra_model_dirs: {tmp_path}/extra_model_paths.yaml")
    assert words in warning


def test_a_changed_file_counts_from_the_next_refresh(tmp_path: Path) -> None:
    add(tmp_path / "a", "a.safetensors")
    add(tmp_path / "b", "b.safetensors")
    path = yaml_file(tmp_path, "c: {loras: a}")
    library = library_of(tmp_path / "models", path)
    assert names(library) == {"loras": ["a.safetensors"]}
    for text, expected in (("c: {loras: [a, b]}", ["a", "b"]), ("c: {loras: b}", ["b"]), ("c: {vae: b}", [])):
        yaml_file(tmp_path, text)
        library.refresh()
        assert names(library).get("loras", []) == [f"{name}.safetensors" for name in expected]
    assert names(library) == {"vae": ["b.safetensors"]}


# --- beside our own --------------------------------------------------------------------------------------------------


def test_our_own_file_keeps_its_name_and_the_other_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    models, program = tmp_path / "models", tmp_path / "program"
    add(program / "loras", "same.safetensors", "other.safetensors", size=2)
    add(tmp_path / "second" / "loras", "other.safetensors", size=3)
    library = library_of(models, program, tmp_path / "second")
    assert library.find("lora", "same").is_extra
    add(models / "loras", "same.safetensors")
    os.utime(models / "loras", ns=(1, 1))
    library.refresh()
    assert names(library) == {"loras": ["other.safetensors", "same.safetensors"]}
    found = library.find("lora", "same")
    assert (found.path, found.is_extra) == (str(models / "loras/same.safetensors"), False)
    assert library.find("lora", "other").root == str(program / "loras")
    expected = [
        f"same.safetensors in {program}/loras is not listed: one in {models}/loras has its name",
        f"other.safetensors in {tmp_path}/second/loras is not listed: one in {program}/loras has its name",
    ]
    assert library.incomplete() == expected
    library.refresh()
    assert names(library)["loras"]
    assert all(caplog.text.count(text) == 1 for text in expected)


def test_a_folder_that_is_added_changes_no_name(tmp_path: Path) -> None:
    """Looser readings of a name (without its folder, without its ending) mean one of ours where they can."""
    models, program = tmp_path / "models", tmp_path / "program"
    add(models / "loras", "sub/detail.safetensors", "UPPER.safetensors")
    add(program / "loras", "detail.safetensors", "more/detail.safetensors", "upper.safetensors", "alone.safetensors")
    library = library_of(models, program)
    assert library.find("lora", "detail").path == str(models / "loras/sub/detail.safetensors")
    assert library.find("lora", "detail.safetensors").root == str(program / "loras")
    assert library.find("lora", "Upper").root == str(models / "loras")
    assert library.find("lora", "more/detail").root == str(program / "loras")
    assert library.find("lora", "alone").root == str(program / "loras")


def test_new_files_are_seen_at_once_and_new_folders_at_a_refresh(tmp_path: Path) -> None:
    program = tmp_path / "program"
    add(program / "loras", "a.safetensors")
    library = library_of(tmp_path / "models", program)
    assert names(library) == {"loras": ["a.safetensors"]}
    add(program / "loras", "b.safetensors")
    add(program / "models/vae", "v.safetensors")
    assert names(library) == {"loras": ["a.safetensors", "b.safetensors"]}
    library.refresh()
    assert names(library) == {"loras": ["a.safetensors", "b.safetensors"], "vae": ["v.safetensors"]}


@for_each_case("how", ["the folder itself", "a folder in it", "a folder around it", "a link to it", "twice"])
def test_what_is_reached_in_two_ways_is_listed_once(tmp_path: Path, how: str) -> None:
    loras = tmp_path / "models/loras"
    add(loras, "a.safetensors", "sub/b.safetensors")
    given = tmp_path / "program/loras"
    given.parent.mkdir()
    if how == "the folder itself":
        extra = [tmp_path / "models"]
    elif how == "a folder in it":
        extra = [yaml_file(tmp_path, f"c: {{loras: {loras}/sub}}")]
    elif how == "a folder around it":
        extra = [yaml_file(tmp_path, f"c: {{loras: {tmp_path}/models}}")]
    elif how == "a link to it":
        given.symlink_to(loras)
        extra = [given.parent]
    else:
        add(given, "c.safetensors")
        (tmp_path / "program/Lora").symlink_to(given)
        extra = [given.parent, given.parent]
    more = ["c.safetensors"] if how == "twice" else []
    library = library_of(tmp_path / "models", *extra)
    for _ in range(2):
        assert names(library) == {"loras": ["a.safetensors", *more, "sub/b.safetensors"]}
        library.refresh()


def test_loops_and_links_are_as_in_our_own_folders(tmp_path: Path) -> None:
    program, outside = tmp_path / "program", tmp_path / "disk"
    add(program / "loras", "a.safetensors")
    add(outside, "x.safetensors")
    (program / "loras/loop").symlink_to(program / "loras")
    (program / "loras/up").symlink_to(program)
    (program / "loras/out").symlink_to(outside)
    (program / "vae").symlink_to(outside)
    free, bound = library_of(tmp_path / "m", program), library_of(tmp_path / "m", program, follow_links=False)
    assert names(free)["loras"] == ["a.safetensors", "out/x.safetensors"]
    assert names(free)["vae"] == ["x.safetensors"]
    assert names(bound) == {"loras": ["a.safetensors"]}
    assert any("out is not listed: it is a link out of the model folders" in text for text in bound.incomplete())


def test_a_photo_maker_is_found_by_its_name(tmp_path: Path) -> None:
    add(tmp_path / "comfy/models/photomaker", "photomaker-v1.bin")
    library = library_of(tmp_path / "models", tmp_path / "comfy")
    found = library.find_below_models_dir("photomaker-v1.bin")
    assert found is not None
    assert found.path == str(tmp_path / "comfy/models/photomaker/photomaker-v1.bin")
    assert library.find_below_models_dir("nothing.bin") is None
    assert names(library) == {}


# --- what is done with them ------------------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "program"


@pytest.fixture
def house(make_house: Callable[..., Any], program: Path) -> Any:
    """A house that sees a folder laid out as ComfyUI's, with a model and a LoRA."""
    write(program / "models/loras/mine.safetensors", LORA_FILE)
    for ending in (".gguf", ".json"):
        source = (DEMO_ROOT / "diffusion_models" / DEMO_MODEL).with_suffix(ending)
        write(program / "models/unet" / f"own{ending}", source.read_bytes())
    return make_house(f"paths.extra_model_dirs=['{program}']").start()


def test_models_and_loras_of_other_programs_are_used(house: House, program: Path) -> None:
    library = house.runtime.models.library
    spec, _ = build_spec(library, LoadRequest(model_name="own"))
    assert spec.model.path == str(program / "models/unet/own.gguf")
    assert spec.components.keys() == {"llm", "taesd"}
    (use,) = resolve_loras(library, "a cat <lora:mine:0.5>")
    assert (use.path, use.weight) == (str(program / "models/loras/mine.safetensors"), 0.5)
    assert house.runtime.models.hashes.hash_of("diffusion", "own").hash is not None


def test_nothing_is_written_beside_the_models_of_other_programs(house: House, program: Path) -> None:
    before = sorted(path for path in program.rglob("*"))
    convert = house.runtime.models.conversions
    asked = ConvertRequest(input_path="own", output_type="q4_0", output_path=f"{program}/models/unet/x.gguf")
    with pytest.raises(InvalidRequest, match=r"output_path: .* leads out of the model folders"):
        convert.submit(asked)
    for name in ("own", f"{program}/models/unet/own.gguf"):
        job, _, target = convert.submit(ConvertRequest(input_path=name, output_type="q4_0", overwrite=True))
        assert target == house.config.paths.models_dir.resolve() / "diffusion_models/own.q4_0.gguf"
        assert house.finished(job.id).status == "completed"
    kind, place = house.runtime.models.uploads.place(UploadTarget("lora", "mine.safetensors", "", True))
    assert (kind, place) == ("lora", house.config.paths.models_dir.resolve() / "loras/mine.safetensors")
    assert sorted(path for path in program.rglob("*")) == before


def test_our_folder_that_links_there_is_no_way_in(house: House, program: Path) -> None:
    loras = house.config.paths.models_dir / "loras"
    loras.mkdir(parents=True)
    (loras / "theirs").symlink_to(program / "models/loras")
    house.runtime.models.library.refresh()
    with pytest.raises(InvalidRequest, match="leads out of the model folders"):
        house.runtime.models.uploads.place(UploadTarget("lora", "new.safetensors", "theirs", False))
    assert sorted(names(house.runtime.models.library)["loras"]) == ["demo_lora.safetensors", "theirs/mine.safetensors"]


def test_messages_do_not_tell_where_they_lie(house: House, program: Path) -> None:
    text = f"{program}/models/loras/mine.safetensors is damaged"
    assert house.runtime.redact_paths(text) == "mine.safetensors is damaged"


def test_every_list_can_have_files_of_other_programs(tmp_path: Path) -> None:
    for folder in OURS:
        write(tmp_path / "program" / folder / "a.gguf", gguf_bytes({"a": (4,)}))
    assert names(library_of(tmp_path / "m", tmp_path / "program")).keys() == set(LIST_NAMES.values())
