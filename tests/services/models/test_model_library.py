from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.catalog import LIST_NAMES
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.services.model_headers.inspection import NotAModel
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec, resolve_loras
from sdcpp_rest.services.models.model_library import ModelLibrary
from tests import model_files
from tests.cases import for_each_case
from tests.model_files import gguf_bytes, raw_safetensors, reversed_shapes, safetensors_bytes, write

ONE = {"a.weight": (32, 2)}
DEMO = "demo_dit_q8_0.gguf"


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def library(models_dir: Path, demo_folder: Path) -> ModelLibrary:
    return ModelLibrary(models_dir, {}, demo_folder)


def add(folder: Path, name: str, content: bytes | None = None) -> Path:
    return write(folder / name, gguf_bytes(ONE) if content is None else content)


def names(library: ModelLibrary, **filters: str) -> dict[str, list[str]]:
    return {kind: [file.name for file in files] for kind, files in library.list(**filters).items() if files}


# --- listing ----------------------------------------------------------------------------------------------------------


def test_an_empty_models_folder_shows_the_demo(library: ModelLibrary) -> None:
    assert library.list().keys() == set(LIST_NAMES.values())
    assert names(library) == {
        "diffusion_models": [DEMO],
        "loras": ["demo_lora.safetensors"],
        "llm": ["demo_llm_q4_0.gguf"],
        "esrgan": ["esrgan_x2.safetensors", "esrgan_x4.safetensors"],
        "taesd": ["demo_tae.safetensors"],
    }


def test_files_are_listed_with_their_relative_names(library: ModelLibrary, models_dir: Path) -> None:
    path = add(models_dir, "checkpoints/SD1x/b.GGUF")
    add(models_dir, "checkpoints/a.safetensors")
    add(models_dir, "checkpoints/notes.txt")
    add(models_dir, "checkpoints/.hidden.gguf")
    add(models_dir, "checkpoints/half.gguf.part")
    first, second = library.list()["checkpoints"]
    assert (first.name, second.name) == ("a.safetensors", "SD1x/b.GGUF")
    assert second.path == str(path)
    assert second.file_extension == ".gguf"
    assert (second.size_bytes, second.type, second.hash) == (path.stat().st_size, "checkpoint", None)


def test_filters_narrow_the_lists_down(library: ModelLibrary, models_dir: Path) -> None:
    add(models_dir, "loras/Detail.safetensors")
    assert names(library, type="lora") == {"loras": ["demo_lora.safetensors", "Detail.safetensors"]}
    assert names(library, type="lora", search="DETAIL") == {"loras": ["Detail.safetensors"]}
    assert names(library, extension="gguf").keys() == {"diffusion_models", "llm"}
    assert names(library, extension=".GGUF") == names(library, extension="gguf")
    with pytest.raises(InvalidRequest, match="type"):
        library.list(type="motion")


def test_new_changed_and_removed_files_are_seen_at_once(library: ModelLibrary, models_dir: Path) -> None:
    assert "vae" not in names(library)
    path = add(models_dir, "vae/deep/a.gguf")
    assert names(library)["vae"] == ["deep/a.gguf"]
    other = add(models_dir, "vae/deep/b.gguf")
    os.utime(path, ns=(1, 1))
    for folder in (models_dir / "vae", models_dir / "vae" / "deep"):
        os.utime(folder, ns=(1, 1))
    other.unlink()
    assert names(library)["vae"] == ["deep/a.gguf"]
    path.unlink()
    assert "vae" not in names(library)


def test_a_settled_folder_is_not_scanned_again(
    library: ModelLibrary, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(add(models_dir, "vae/a.gguf"), ns=(1, 1))
    os.utime(models_dir / "vae", ns=(1, 1))
    library.find("vae", "a")
    monkeypatch.setattr(os, "scandir", lambda path: pytest.fail(f"{path} was scanned again"))
    assert library.find("vae", "a").name == "a.gguf"


def test_a_file_rewritten_in_place_is_found_with_its_new_size(library: ModelLibrary, models_dir: Path) -> None:
    path = add(models_dir, "vae/a.gguf")
    os.utime(path, ns=(1, 1))
    os.utime(models_dir / "vae", ns=(1, 1))
    before = library.find("vae", "a")
    with path.open("ab") as file:
        file.write(bytes(64))
    assert library.find("vae", "a").size_bytes == before.size_bytes + 64


def test_type_folders_can_be_renamed_and_lie_elsewhere(tmp_path: Path, models_dir: Path) -> None:
    add(tmp_path, "elsewhere/a.gguf")
    add(models_dir, "my_vaes/b.gguf")
    library = ModelLibrary(models_dir, {"checkpoint": str(tmp_path / "elsewhere"), "vae": "my_vaes"}, None)
    assert names(library) == {"checkpoints": ["a.gguf"], "vae": ["b.gguf"]}
    with pytest.raises(ValueError, match="motion"):
        ModelLibrary(models_dir, {"motion": "x"}, None)


def test_the_users_file_hides_a_demo_file_of_the_same_name(library: ModelLibrary, models_dir: Path) -> None:
    path = add(models_dir, f"diffusion_models/{DEMO}")
    assert library.find("diffusion", DEMO).path == str(path)
    assert len(library.list()["diffusion_models"]) == 1


def test_links_that_lead_out_are_not_followed_where_that_is_off(models_dir: Path, tmp_path: Path) -> None:
    library = ModelLibrary(models_dir, follow_links=False)
    inside = add(models_dir, "checkpoints/a.gguf")
    outside = add(tmp_path, "secret/x.gguf")
    (models_dir / "checkpoints" / "link.gguf").symlink_to(inside)
    (models_dir / "checkpoints" / "out.gguf").symlink_to(outside)
    (models_dir / "checkpoints" / "out").symlink_to(outside.parent)
    (models_dir / "checkpoints" / "loop").symlink_to(models_dir / "checkpoints")
    (models_dir / "checkpoints" / "broken.gguf").symlink_to(tmp_path / "nothing.gguf")
    assert names(library)["checkpoints"] == ["a.gguf", "link.gguf"]
    with pytest.raises(ModelNotFound):
        library.find("checkpoint", "out.gguf")
    told = " ".join(library.incomplete())
    assert "out.gguf is not listed: it is a link out of the model folders, and paths.follow_links is off" in told


def test_the_owners_links_are_followed(library: ModelLibrary, models_dir: Path, tmp_path: Path) -> None:
    outside = add(tmp_path, "disk/x.gguf")
    blob = tmp_path / "cache/blobs/0a1b"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"x")
    (models_dir / "checkpoints").mkdir(parents=True, exist_ok=True)
    (models_dir / "checkpoints" / "out.gguf").symlink_to(outside)
    (models_dir / "checkpoints" / "cached.safetensors").symlink_to(blob)
    (models_dir / "checkpoints" / "disk").symlink_to(outside.parent)
    (models_dir / "checkpoints" / "loop").symlink_to(models_dir / "checkpoints")
    (models_dir / "checkpoints" / "up").symlink_to(models_dir.parent)
    (models_dir / "loras").symlink_to(outside.parent)
    found = names(library)
    assert {"out.gguf", "cached.safetensors", "disk/x.gguf"} <= set(found["checkpoints"])
    assert "x.gguf" in found["loras"]
    assert library.find("checkpoint", "out.gguf").path == str(models_dir / "checkpoints/out.gguf")
    assert library.find("checkpoint", "disk/x").size_bytes == outside.stat().st_size
    with pytest.raises(InvalidRequest, match="leads out"):
        library.find("checkpoint", "../../disk/x.gguf")


def test_every_name_that_is_listed_is_taken_back_as_it_is(library: ModelLibrary, models_dir: Path) -> None:
    odd = [" leading.gguf", "trailing .gguf", "back\\slash.gguf", "c:colon.gguf", "a b.gguf", "sub/ dir/x.gguf"]
    for name in odd:
        add(models_dir, f"checkpoints/{name}")
    add(models_dir, "checkpoints/back/slash.gguf")
    assert set(odd) <= set(names(library)["checkpoints"])
    for name in odd:
        assert library.find("checkpoint", name).name == name
    assert library.find("checkpoint", "back/slash.gguf").name == "back/slash.gguf"
    assert library.find("checkpoint", " a b.gguf ").name == "a b.gguf"


def test_names_that_no_url_can_hold_are_left_out_and_told(library: ModelLibrary, models_dir: Path) -> None:
    add(models_dir, "checkpoints/line\nbreak.gguf")
    add(models_dir, "checkpoints/good.gguf")
    assert names(library)["checkpoints"] == ["good.gguf"]
    assert "line\\nbreak.gguf" in library.incomplete()[0]


# --- names ------------------------------------------------------------------------------------------------------------


@for_each_case(
    "name",
    [
        "SD1x/Real.v2.safetensors", "SD1x\\Real.v2.safetensors", "Real.v2.safetensors", "Real.v2", "SD1x/Real.v2",
        "real.V2", "sd1X/REAL.V2.SAFETENSORS", " Real.v2 ",
    ],
)  # fmt: skip
def test_a_model_is_found_by_every_name_it_may_be_called(library: ModelLibrary, models_dir: Path, name: str) -> None:
    add(models_dir, "checkpoints/SD1x/Real.v2.safetensors")
    add(models_dir, "checkpoints/SD1x/Real.v1.safetensors")
    assert library.find("checkpoint", name).name == "SD1x/Real.v2.safetensors"


def test_the_exact_name_wins_over_looser_readings(library: ModelLibrary, models_dir: Path) -> None:
    for name in ("a.gguf", "a.safetensors", "sub/a.gguf", "A.gguf"):
        add(models_dir, f"vae/{name}")
    assert library.find("vae", "a.safetensors").name == "a.safetensors"
    assert library.find("vae", "A.gguf").name == "A.gguf"
    assert library.find("vae", "sub/a").name == "sub/a.gguf"
    with pytest.raises(InvalidRequest, match="several models") as caught:
        library.find("vae", "a")
    assert caught.value.detail["candidates"] == ["a.gguf", "a.safetensors"]


def test_an_unknown_name_is_answered_with_the_nearest(library: ModelLibrary) -> None:
    with pytest.raises(ModelNotFound, match=r"^Model not found: demo_dit_q4_0$") as caught:
        library.find("diffusion", "demo_dit_q4_0")
    assert caught.value.detail["nearest"] == [DEMO]


@for_each_case(
    "name",
    ["../models/checkpoints/a.gguf", "/etc/passwd", "..", "sub/../../a.gguf", "..\\a.gguf", "C:\\a.gguf", "", " ",
         "a\0b", ".", "sub//a", "x" * 2000],
)  # fmt: skip
@for_each_case("kind", ["checkpoint", "lora"])
def test_names_that_leave_the_folder_are_refused(library: ModelLibrary, models_dir: Path, name: str, kind: str) -> None:
    add(models_dir, "checkpoints/a.gguf")
    with pytest.raises(InvalidRequest, match="model_name"):
        library.find(kind, name)


SUM = "ABCDEF0123" + "0" * 54


class Sums:
    """SHA-256 sums by the beginning of the path's last part; counts how often they were asked for."""

    def __init__(self, **sums: str) -> None:
        self._sums = sums

    def get(self, path: str, size_bytes: int, mtime_ns: int) -> str | None:
        return self._sums.get(Path(path).stem)


@pytest.mark.parametrize("wanted", [SUM, SUM.lower(), SUM[:10], SUM[:40].lower()])
def test_a_model_is_found_by_its_sum_where_that_is_known(models_dir: Path, wanted: str) -> None:
    add(models_dir, "vae/a.gguf")
    add(models_dir, "vae/b.gguf")
    library = ModelLibrary(models_dir, known_sums=lambda: Sums(a="1" * 64, b=SUM.lower()))
    assert library.find("vae", wanted).name == "b.gguf"


def test_a_sum_is_looked_for_last_and_needs_ten_digits(models_dir: Path) -> None:
    add(models_dir, "vae/a.gguf")
    add(models_dir, f"vae/{SUM[:10]}.gguf")
    library = ModelLibrary(models_dir, known_sums=lambda: Sums(a=SUM.lower()))
    assert library.find("vae", SUM[:10]).name == f"{SUM[:10]}.gguf"
    with pytest.raises(ModelNotFound):
        library.find("vae", SUM[:9])
    with pytest.raises(ModelNotFound):
        library.find("vae", SUM[:10] + "f")


def test_copies_of_one_file_are_one_answer_and_different_files_are_not(models_dir: Path) -> None:
    for name in ("a", "b", "c"):
        add(models_dir, f"vae/{name}.gguf")
    library = ModelLibrary(
        models_dir, known_sums=lambda: Sums(a=SUM.lower(), b=SUM.lower(), c=SUM[:10].lower() + "1" * 54)
    )
    assert library.find("vae", SUM).name == "a.gguf"
    with pytest.raises(InvalidRequest, match="several models"):
        library.find("vae", SUM[:10])


def test_the_revision_changes_with_what_is_listed_and_only_then(library: ModelLibrary, models_dir: Path) -> None:
    add(models_dir, "vae/a.gguf")
    library.list()
    before = library.revision
    library.list()
    assert library.revision == before
    add(models_dir, "vae/b.gguf")
    library.list()
    assert library.revision != before


def test_a_split_model_is_found_whole_and_refused_where_it_would_be_loaded(
    library: ModelLibrary, models_dir: Path
) -> None:
    content = safetensors_bytes(reversed_shapes(model_files.unet()))
    for number in (1, 2):
        add(models_dir, f"checkpoints/big-0000{number}-of-00002.safetensors", content)
    found = library.find("checkpoint", "big")
    assert (found.size_bytes, len(found.parts)) == (2 * len(content), 2)
    with pytest.raises(NotAModel, match=r"one of 2 parts of a split model; .*merge"):
        build_spec(library, LoadRequest(model_name="big"))
    (models_dir / "checkpoints" / "big-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelNotFound):
        library.find("checkpoint", "big")
    library.list()
    assert library.incomplete() == ["big.safetensors is not listed: only 1 of its 2 parts are there"]


# --- loading ----------------------------------------------------------------------------------------------------------


def test_the_demo_loads_by_its_name_alone(library: ModelLibrary) -> None:
    spec, warnings = build_spec(library, LoadRequest(model_name=DEMO))
    assert warnings == []
    assert (spec.kind, spec.architecture, spec.model.name) == ("diffusion", "Ovis Image", DEMO)
    assert {role: file.name for role, file in spec.components.items()} == {
        "llm": "demo_llm_q4_0.gguf",
        "taesd": "demo_tae.safetensors",
    }
    assert spec.options.vae_decode_only is False
    assert Path(spec.model.path).is_absolute()


def test_a_wrong_model_type_is_corrected_with_a_warning(library: ModelLibrary) -> None:
    spec, warnings = build_spec(library, LoadRequest(model_name="demo_dit_q8_0", model_type="checkpoint"))
    assert spec.kind == "diffusion"
    assert "model_type 'checkpoint' was corrected" in warnings[0]
    with pytest.raises(InvalidRequest, match="model_type"):
        build_spec(library, LoadRequest(model_name=DEMO, model_type="lora"))


def test_equal_requests_give_equal_specs(library: ModelLibrary) -> None:
    one, _ = build_spec(library, LoadRequest(model_name=DEMO))
    other, _ = build_spec(
        library,
        LoadRequest(
            model_name=DEMO, components={"taesd": "demo_tae", "llm": "demo_llm_q4_0"}, options={"n_threads": 0}
        ),
    )
    assert one.key == other.key


def test_tensors_decide_how_a_file_must_be_loaded(library: ModelLibrary, models_dir: Path) -> None:
    content = safetensors_bytes(reversed_shapes({**model_files.FLUX, "vector_in.x": (4,)}))
    add(models_dir, "checkpoints/flux.safetensors", content)
    add(models_dir, "diffusion_models/sd15.safetensors", safetensors_bytes(reversed_shapes(model_files.unet())))
    add(models_dir, "clip/clip_l.safetensors", safetensors_bytes(reversed_shapes(model_files.CLIP_L)))
    add(models_dir, "vae/ae.safetensors", safetensors_bytes(reversed_shapes(model_files.VAE)))
    spec, warnings = build_spec(
        library, LoadRequest(model_name="flux", model_type="checkpoint", components={"clip_l": "clip_l", "vae": "ae"})
    )
    assert spec.kind == "diffusion"
    assert any("diffusion model" in warning for warning in warnings)
    spec, _ = build_spec(library, LoadRequest(model_name="sd15", model_type="diffusion"))
    assert spec.kind == "checkpoint"


def test_the_request_wins_over_the_sidecar(library: ModelLibrary, models_dir: Path) -> None:
    add(models_dir, "vae/ae.safetensors", safetensors_bytes(reversed_shapes(model_files.VAE)))
    request = LoadRequest(
        model_name=DEMO,
        components={"vae": "ae", "taesd": "", "llm": None},
        options={"vae_decode_only": True, "weight_type": "Q4_k", "n_threads": None},
    )
    spec, _ = build_spec(library, request)
    assert spec.components.keys() == {"llm", "vae"}
    assert spec.options.vae_decode_only is True
    assert spec.options.weight_type == "q4_K"
    assert spec.options.n_threads == -1


def test_a_component_that_is_not_there_is_named(library: ModelLibrary) -> None:
    with pytest.raises(ModelNotFound, match=r"^Model not found: demo_lm$") as caught:
        build_spec(library, LoadRequest(model_name=DEMO, components={"llm": "demo_lm"}))
    assert caught.value.detail["field"] == "llm"
    assert caught.value.detail["nearest"] == ["demo_llm_q4_0.gguf"]
    with pytest.raises(InvalidRequest, match="motor"):
        build_spec(library, LoadRequest(model_name=DEMO, components={"motor": "x"}))
    with pytest.raises(ModelNotFound, match="Model not found: x"):
        build_spec(library, LoadRequest(model_name=DEMO, components={"photo_maker": "x"}))
    with pytest.raises(InvalidRequest, match="leads out"):
        build_spec(library, LoadRequest(model_name=DEMO, components={"llm": "../../llm/x.gguf"}))


def test_a_text_encoder_is_looked_for_in_both_of_its_folders(library: ModelLibrary, models_dir: Path) -> None:
    model_files.write_sparse_safetensors(models_dir / "clip/t5.safetensors", reversed_shapes(model_files.t5(32_128)))
    add(models_dir, "vae/ae.safetensors", safetensors_bytes(reversed_shapes(model_files.VAE)))
    add(models_dir, "diffusion_models/flux.gguf", gguf_bytes(model_files.FLUX))
    spec, _ = build_spec(library, LoadRequest(model_name="flux", components={"t5xxl": "t5", "vae": "ae"}))
    assert spec.components["t5xxl"].path.endswith("clip/t5.safetensors")


@for_each_case(
    ("options", "field"),
    [
        ({"n_threads": "many"}, "n_threads"),
        ({"n_threads": 1.5}, "n_threads"),
        ({"flash_attn": "yes"}, "flash_attn"),
        ({"weight_type": 3}, "weight_type"),
        ({"weight_type": "q8_1"}, "weight_type"),
        ({"lora_apply_mode": "immediately"}, "lora_apply_mode"),
        ({"n_threads": -7}, "n_threads"),
        ({"flow_shift": [1]}, "flow_shift"),
    ],
)
def test_bad_options_are_refused_by_name(library: ModelLibrary, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"^options\.{field}: "):
        build_spec(library, LoadRequest(model_name=DEMO, options=options))


def test_options_that_mean_nothing_are_taken_out_and_unknown_ones_named(library: ModelLibrary) -> None:
    spec, warnings = build_spec(
        library,
        LoadRequest(
            model_name=DEMO,
            options={"flow_shift": 0.0, "free_params_immediately": True, "flash_atn": True, "n_threads": 2},
        ),
    )
    assert spec.options.flow_shift is None
    assert spec.options.free_params_immediately is True
    assert spec.options.n_threads == 2
    assert any("free_params_immediately" in warning for warning in warnings)
    assert any("flash_atn" in warning and "'flash_attn'" in warning for warning in warnings)


def test_an_unknown_model_is_answered_with_the_nearest_of_both_folders(library: ModelLibrary) -> None:
    with pytest.raises(ModelNotFound, match=r"^Model not found: demo_dit_q8$") as caught:
        build_spec(library, LoadRequest(model_name="demo_dit_q8"))
    assert caught.value.detail["nearest"] == [DEMO]


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"<html>", raw_safetensors([1]), safetensors_bytes(reversed_shapes(model_files.LORA))]
)
def test_a_file_that_is_no_model_is_refused(library: ModelLibrary, models_dir: Path, content: bytes) -> None:
    add(models_dir, "checkpoints/bad.safetensors", content)
    with pytest.raises(NotAModel, match=r"bad\.safetensors"):
        build_spec(library, LoadRequest(model_name="bad"))


# --- sidecars ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"components": 3}', b'{"load_options": {"x": 1}}', b"\xff", b"[" * 5000]
)
def test_a_broken_sidecar_is_a_warning(library: ModelLibrary, models_dir: Path, content: bytes) -> None:
    add(models_dir, "checkpoints/m.safetensors", safetensors_bytes(reversed_shapes(model_files.unet())))
    write(models_dir / "checkpoints" / "m.json", content)
    spec, warnings = build_spec(library, LoadRequest(model_name="m"))
    assert spec.model.name == "m.safetensors"
    assert len(warnings) == 1
    assert "m.json is ignored" in warnings[0]
    assert "\n" not in warnings[0]
    assert library.generation_defaults(spec) == {}


def test_a_sidecar_that_names_a_missing_component_is_a_warning(library: ModelLibrary, models_dir: Path) -> None:
    add(models_dir, "checkpoints/m.safetensors", safetensors_bytes(reversed_shapes(model_files.unet())))
    write(models_dir / "checkpoints" / "m.json", json.dumps({"components": {"vae": "gone"}}).encode())
    spec, warnings = build_spec(library, LoadRequest(model_name="m"))
    assert spec.components == {}
    assert "'gone'" in warnings[0]


def test_a_sidecar_that_leads_out_of_the_folders_is_a_warning(library: ModelLibrary, models_dir: Path) -> None:
    add(models_dir, "checkpoints/m.safetensors", safetensors_bytes(reversed_shapes(model_files.unet())))
    write(models_dir / "checkpoints" / "m.json", json.dumps({"components": {"vae": "../../secret"}}).encode())
    spec, warnings = build_spec(library, LoadRequest(model_name="m"))
    assert spec.components == {}
    assert "leads out of the model folders" in warnings[0]


@pytest.mark.parametrize("role", ["vae", "embeddings"])
def test_a_component_that_leads_out_is_blamed_by_its_role(library: ModelLibrary, models_dir: Path, role: str) -> None:
    add(models_dir, "checkpoints/m.safetensors", safetensors_bytes(reversed_shapes(model_files.unet())))
    asked = {"embeddings": ["../x"]} if role == "embeddings" else {"components": {role: "../x"}}
    with pytest.raises(InvalidRequest, match=f"^{role}: .* leads out") as caught:
        build_spec(library, LoadRequest.model_validate({"model_name": "m", **asked}))
    assert caught.value.detail["field"] == role


def test_a_changed_sidecar_is_read_again(library: ModelLibrary, models_dir: Path) -> None:
    add(models_dir, "checkpoints/m.safetensors", safetensors_bytes(reversed_shapes(model_files.unet())))
    spec, _ = build_spec(library, LoadRequest(model_name="m"))
    assert library.generation_defaults(spec) == {}
    write(models_dir / "checkpoints" / "m.json", b'{"generation_defaults": {"steps": 4}}')
    assert library.generation_defaults(spec) == {"steps": 4}


def test_the_demo_has_defaults_and_a_size(library: ModelLibrary) -> None:
    spec, _ = build_spec(library, LoadRequest(model_name=DEMO))
    assert library.generation_defaults(spec) == {
        "width": 64, "height": 64, "steps": 12, "cfg_scale": 2.5, "sampler": "euler", "scheduler": "discrete",
    }  # fmt: skip
    warning = library.size_warning(spec, 512, 512)
    assert warning is not None
    assert "draws at 64-128" in warning
    assert library.size_warning(spec, 64, 128) is None
    assert library.size_warning(spec, 32, 64) is not None


# --- LoRAs ------------------------------------------------------------------------------------------------------------


def test_lora_tags_become_files(library: ModelLibrary, demo_folder: Path) -> None:
    (use,) = resolve_loras(library, "a <lora:demo_lora:0.5> cat <lora:demo_lora.safetensors:0.25>")
    assert (use.name, use.weight) == ("demo_lora.safetensors", 0.75)
    assert use.path == str(demo_folder / "loras" / "demo_lora.safetensors")
    assert resolve_loras(library, "a cat") == ()


@pytest.mark.parametrize(
    "tag", ["<lora:demo_loar:1>", "<lora:../taesd/demo_tae:1>", "<lora:/etc/passwd:1>", "<lora:x:nan>"]
)
def test_unknown_and_escaping_loras_are_refused(library: ModelLibrary, tag: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve_loras(library, "a cat " + tag)
    assert not isinstance(caught.value, NotAModel)


def test_an_unknown_lora_is_answered_with_the_nearest(library: ModelLibrary) -> None:
    with pytest.raises(InvalidRequest, match=r"no LoRA named 'demo_loar'; did you mean demo_lora\.safetensors"):
        resolve_loras(library, "<lora:demo_loar>")


def test_a_lora_file_that_would_end_the_process_is_refused(library: ModelLibrary, models_dir: Path) -> None:
    add(models_dir, "loras/bad.safetensors", raw_safetensors({"a": {"shape": [1]}}))
    add(models_dir, "loras/model.gguf", gguf_bytes(model_files.FLUX))
    for name in ("bad", "model"):
        with pytest.raises(NotAModel):
            resolve_loras(library, f"<lora:{name}:1>")


@pytest.mark.slow
def test_ten_thousand_files_are_listed_and_found(tmp_path: Path, models_dir: Path) -> None:
    folder = models_dir / "loras"
    folder.mkdir()
    for index in range(10_000):
        (folder / f"lora{index}.safetensors").touch()
    library = ModelLibrary(models_dir, {}, None)
    assert len(library.list()["loras"]) == 10_000
    assert library.find("lora", "LORA9999").name == "lora9999.safetensors"
    with pytest.raises(ModelNotFound):
        library.find("lora", "nothing like it")


def test_a_lora_whose_name_no_tag_can_hold_is_not_suggested(library: ModelLibrary, models_dir: Path) -> None:
    add(models_dir, "loras/my:style.gguf", gguf_bytes(model_files.LORA))
    with pytest.raises(InvalidRequest, match=r"rename the file"):
        resolve_loras(library, "a cat <lora:my-style:1>")
