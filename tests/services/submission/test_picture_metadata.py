from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.params import LARGEST_SEED, ImageParams, VideoParams
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.wire_models import examine
from sdcpp_rest.routes.native.wire.generation_bodies import Img2ImgBody, Txt2ImgBody
from sdcpp_rest.routes.native.wire.video_bodies import Txt2VidBody
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.submission.picture_metadata import PictureMetadata, ToldSettings
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.hash_store import HashStore
from tests.cases import for_each_case
from tests.services.pictures.metadata import made_files as made
from tests.services.pictures.metadata.sample_files import SAMPLES, Sample

PAGE = Path(__file__).parents[3] / "docs" / "metadata.md"
BODIES: dict[str, type[Txt2ImgBody] | type[Txt2VidBody]] = {
    "txt2img": Txt2ImgBody,
    "img2img": Img2ImgBody,
    "txt2vid": Txt2VidBody,
}


def check_body(told: ToldSettings, limits: LimitsConfig | None = None) -> None:
    """Hold what can be submitted against the wire model of its route, strictly."""
    if told.submit is not None:
        body = {**told.submit.body, **dict.fromkeys(told.submit.needs, "aGVsbG8=")}
        examine(BODIES[told.submit.kind], body, limits=limits or LimitsConfig(), strict=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in (
        *("checkpoints/sub/Dream.safetensors", "checkpoints/other.gguf", "loras/ink.safetensors", "loras/a/twice.gguf"),
        *("loras/b/twice.gguf", "vae/MSE.ckpt", "esrgan/sharp_x4.pth"),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


@pytest.fixture(scope="module")
def metadata(models: Path, tmp_path_factory: pytest.TempPathFactory) -> PictureMetadata:
    library = ModelLibrary(models)
    hashes = ModelHashes(library, HashStore(Database(tmp_path_factory.mktemp("data") / "x.db")))
    hashes.hash_of("checkpoint", "other.gguf")
    hashes.hash_of("lora", "ink")
    return PictureMetadata(LimitsConfig(), library, hashes)


def text(parameters: str) -> bytes:
    return made.png({"parameters": parameters})


@for_each_case("sample", SAMPLES.values(), ids=list(SAMPLES))
def test_what_every_tool_tells_is_read(sample: Sample, metadata: PictureMetadata) -> None:
    told = metadata.read(sample.make())
    assert (told.tool, told.fields) == (sample.tool, sample.fields)
    assert told.submit is not None
    assert told.submit.kind == sample.kind
    assert set(sample.unmapped) <= set(told.unmapped)
    check_body(told)


def test_page_says_which_fields_are_read_of_which_tool() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## What is read of which tool")[2]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    tools = [cell.strip() for cell in lines[0][1:]]
    documented = {
        (tool, name.strip(" `"))
        for name, *marks in lines[2:]
        for tool, mark in zip(tools, marks, strict=True)
        if mark.strip() == "x"
    }
    read = {(sample.tool, name) for sample in SAMPLES.values() for name in sample.fields}
    named = {name for _, name in documented}
    assert tools == list(dict.fromkeys(sample.tool for sample in SAMPLES.values()))
    assert {pair for pair in read if pair[1] in named} == documented
    # Names that only our own files tell are summed up below the table.
    assert {name for _, name in read} - named == {"eta", "custom_sigmas", "high_noise_steps", "output_format"}


def test_picture_without_a_text_is_of_an_unknown_tool(metadata: PictureMetadata) -> None:
    for file in (made.png(), made.jpeg(), made.webp(), made.mp4(), made.webm(), made.png({"Author": "me"})):
        told = metadata.read(file)
        assert (told.tool, told.fields, told.submit) == ("unknown", {}, None)


@for_each_case(
    "wanted, found",
    [
        ("Model: dream", ("sub/Dream.safetensors", "name")),
        ("Model: sub\\\\DREAM.ckpt", ("sub/Dream.safetensors", "name")),
        ("Model: nothing", None),
        ("Model: nothing, Model hash: {sum}", ("other.gguf", "hash")),
        ("Model: dream, Model hash: {sum}", ("other.gguf", "hash")),
        ("Model: dream, Model hash: 0123456789", ("sub/Dream.safetensors", "name")),
        ("Model: dream, Model hash: abcdef01", ("sub/Dream.safetensors", "name")),
    ],
)
def test_model_is_found_by_its_hash_then_by_its_name(
    wanted: str, found: tuple[str, str] | None, metadata: PictureMetadata, models: Path
) -> None:
    sha256 = hashlib.sha256((models / "checkpoints/other.gguf").read_bytes()).hexdigest()
    told = metadata.read(text("a cat\nSteps: 2, Seed: 1, Size: 64x64, " + wanted.format(sum=sha256[:10])))
    assert (told.model and (told.model.name, told.model.how)) == found


def test_loras_that_are_here_are_in_what_can_be_submitted(metadata: PictureMetadata) -> None:
    told = metadata.read(
        text("a <lora:INK.safetensors:0.123456789> b <lora:twice:1> <lora:gone:1>\nSteps: 2, Seed: 1, Size: 64x64")
    )
    assert told.fields["prompt"] == "a b"
    assert [lora["name"] for lora in told.fields["loras"]] == ["INK.safetensors", "twice", "gone"]
    assert [match.name if match else None for _, match in told.loras] == ["ink.safetensors", None, None]
    assert told.submit is not None
    assert told.submit.body["prompt"] == "a b <lora:ink.safetensors:0.123456789>"
    assert any("'gone' is not here" in note for note in told.notes)


def test_second_weight_of_a_lora_tag_is_left_out_and_told(metadata: PictureMetadata) -> None:
    told = metadata.read(text("a <lora:ink:0.8:0.5>\nSteps: 2, Seed: 1, Size: 64x64"))
    assert told.fields["loras"] == [{"name": "ink", "weight": 0.8}]
    assert any("one weight" in note for note in told.notes)


def test_vae_and_upscaler_are_found_by_name(metadata: PictureMetadata) -> None:
    told = metadata.read(
        text("a\nSteps: 2, Seed: 1, Size: 64x64, VAE: mse.ckpt, Hires upscale: 2, Hires upscaler: SHARP_x4")
    )
    assert told.vae is not None
    assert told.vae.name == "MSE.ckpt"
    assert told.fields["hires_upscaler"] == "sharp_x4.pth"


@for_each_case(
    "pairs, name, words",
    [
        ("Steps: 99999", "steps", "from 1 to 10000, got 99999"),
        ("Steps: 20.5", "steps", "'20.5' is not read"),
        ("CFG scale: NaN", "cfg_scale", "got nan"),
        ("CFG scale: 1e999", "cfg_scale", "got inf"),
        (f"Seed: {LARGEST_SEED + 1}", "seed", "an integer from 0 to"),
        ("Seed: -1", "seed", "-1 is not the seed of a picture"),
        ("Clip skip: 40", "clip_skip", "from -1 to 12"),
        ("Size: 4x64", "width", "from 8 to 4096"),
        ("Denoising strength: 1.5", "strength", "from 0 to 1"),
        ("Hires upscale: 2, Hires upscaler: 4x-Nobody", "hires_upscaler", "'4x-Nobody' is not here"),
        ("Sampler: Dance", "sampler", "'Dance' is not known here; it was left out"),
        ("Sampler: DPM++ 2M SDE", "sampler", "'dpm++2m' is its nearest relative"),
        ("Schedule type: Beta", "scheduler", "'discrete' is its nearest relative"),
    ],
)
def test_what_is_not_allowed_here_is_left_out_and_told(
    pairs: str, name: str, words: str, metadata: PictureMetadata
) -> None:
    told = metadata.read(text(f"a cat\nSteps: 3, Seed: 1, Size: 64x64, {pairs}, Version: v1"))
    assert name in told.unmapped
    assert any(words in note for note in told.notes), told.notes
    check_body(told)
    assert told.submit is not None
    assert told.submit.body["prompt"] == "a cat"


@for_each_case("prompt", ["x" * 20_000, f"(a:{10**40})", "(a:.)"])
def test_prompt_that_the_library_cannot_take_is_left_out(prompt: str, metadata: PictureMetadata) -> None:
    told = metadata.read(text(f"{prompt}\nSteps: 3, Seed: 1, Size: 64x64"))
    assert "prompt" not in told.fields
    assert told.unmapped["prompt"].startswith(prompt[:5])
    assert told.submit is not None
    assert told.submit.body["prompt"] == ""


def test_configured_limits_count(models: Path, metadata: PictureMetadata) -> None:
    limits = LimitsConfig(steps=10, side=64)
    narrow = PictureMetadata(limits, ModelLibrary(models), metadata._hashes)
    told = narrow.read(text("a\nSteps: 11, Seed: 1, Size: 96x64"))
    assert {"steps", "width"} <= set(told.unmapped)
    assert told.fields["height"] == 64
    check_body(told, limits)


@for_each_case("file", [b"", b"hello", b"GIF89a", b"\x89PNG", b"%PDF-1.7", b"\0" * 4096, b"{}"])
def test_what_is_no_picture_is_refused_in_a_sentence(file: bytes, metadata: PictureMetadata) -> None:
    with pytest.raises(InvalidRequest, match="PNG, JPEG, WebP, AVIF, MP4 or WebM"):
        metadata.read(file)


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["euler", "karras", "1e999", "-1", "Latent", "x" * 17_000, "<lora:ink:nan>", "(a:.)", "\ud800"]),
    st.lists(st.one_of(st.floats(), st.text(max_size=5)), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


_OWN_NAMES = sorted({*ImageParams.model_fields, *VideoParams.model_fields})
_INVOKE_NAMES = (
    *("positive_prompt", "negative_prompt", "seed", "steps", "cfg_scale", "guidance", "width", "height", "clip_skip"),
    *("scheduler", "strength", "generation_mode", "model", "vae", "loras"),
)
_KEYS = (
    *("Steps", "Seed", "CFG scale", "Clip skip", "Size", "Sampler", "Frames", "FPS", "Hires upscale", "Hires steps"),
    *("Denoising strength", "Eta", "Distilled CFG Scale", "Schedule type", "Model", "Lora hashes"),
)


@pytest.mark.slow
@trying(deadline=None)
@given(settings=st.dictionaries(st.sampled_from(_OWN_NAMES), _VALUES))
def test_whatever_our_own_settings_say_the_body_is_accepted(
    settings: dict[str, Any], metadata: PictureMetadata
) -> None:
    said = json.dumps(json.dumps(settings))
    for more in ("", ", Denoising strength: 0.5", ", Frames: 5"):
        told = metadata.read(text(f"a\nSteps: 3, Seed: 1, Size: 64x64{more}, Settings: {said}, Version: sdcpp-rest 1"))
        check_body(told)
        json.dumps(told.fields | told.unmapped, allow_nan=False)


@pytest.mark.slow
@trying(deadline=None)
@given(settings=st.dictionaries(st.sampled_from(_INVOKE_NAMES), _VALUES))
def test_whatever_an_object_says_the_body_is_accepted(settings: dict[str, Any], metadata: PictureMetadata) -> None:
    check_body(metadata.read(made.png({"invokeai_metadata": json.dumps(settings)})))


@pytest.mark.slow
@trying(deadline=None)
@given(prompt=st.text(max_size=300), pairs=st.lists(st.tuples(st.sampled_from(_KEYS), st.text(max_size=12))))
def test_whatever_a_text_says_the_body_is_accepted(
    prompt: str, pairs: list[tuple[str, str]], metadata: PictureMetadata
) -> None:
    line = ", ".join(f"{key}: {value}" for key, value in [("Steps", "1"), *pairs])
    check_body(metadata.read(text(f"{prompt}\n{line}".encode("utf-8", "replace").decode())))


def test_own_settings_cannot_name_files_or_samplers(metadata: PictureMetadata) -> None:
    evil: dict[str, Any] = {"upscaler": {"model": "/etc"}, "sampler": "evil", "prompt": "\0", "slg_scale": "2"}
    settings = json.dumps(json.dumps(evil))
    told = metadata.read(text(f"a\nSteps: 3, Seed: 1, Size: 64x64, Settings: {settings}, Version: sdcpp-rest 1"))
    assert "upscaler" not in told.fields
    assert told.fields.get("sampler") is None
    assert told.fields["slg_scale"] == 2.0
    assert not re.search("\0", str(told.fields.get("prompt", "")))
    check_body(told)
