"""Every component file in every role of every family, on headers: taken, told to be of no use, or refused in words that
name the role, what the file is and what is needed; never taken in silence without effect."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from sdcpp_rest.core.component_forms import used_roles
from sdcpp_rest.core.load_spec import Component
from sdcpp_rest.services.model_headers.inspection import inspect_file
from tests.cases import for_each_case
from tools.model_tables.component_verdicts import COMPONENT_FILES, LOADABLE, ROLES, Bench, Verdict
from tools.synthetic_models.families import FAMILIES

# What the library takes: one or more files for each role that a family uses, and nothing else.
SD_VAE, FLUX_VAE, FLUX_2_VAE = ["VAE of SD 1 to XL"], ["VAE of Flux or SD3"], ["VAE of Flux.2"]
SD: dict[str, list[str]] = {"vae": SD_VAE, "taesd": ["TAESD"], "clip_l": ["CLIP-L"]}
SD_2 = {**SD, "clip_l": ["OpenCLIP-H"]}
XL = {**SD, "clip_g": ["CLIP-G"], "controlnet": ["ControlNet of SDXL"], "photo_maker": ["PhotoMaker"]}
CONTROLLED = {**SD, "controlnet": ["ControlNet of SD 1"]}
CONTROLLED_2 = {**SD_2, "controlnet": ["ControlNet of SD 2"]}
FLUX = {"vae": FLUX_VAE, "taesd": ["TAEF1"], "clip_l": ["CLIP-L"], "t5xxl": ["T5-XXL"]}
WAN = {"vae": ["VAE of Wan 2.1 or Qwen Image"], "taesd": ["TAEW 2.1"], "t5xxl": ["UMT5-XXL"]}
WAN_21 = {**WAN, "high_noise_diffusion_model": ["Wan 2.1 model"]}
FLUX_2 = {"vae": FLUX_2_VAE, "taesd": ["TAEF2"]}
TAKEN: dict[str, dict[str, list[str]]] = {
    **dict.fromkeys(("sdxs", "sd1_tiny"), SD),
    **dict.fromkeys(("sdxs09", "sd2_tiny"), SD_2),
    **dict.fromkeys(("sd15", "sd15_inpaint", "sd15_pix2pix"), CONTROLLED),
    **dict.fromkeys(("sd2", "sd2_inpaint"), CONTROLLED_2),
    **dict.fromkeys(("sdxl", "sdxl_inpaint", "sdxl_pix2pix", "ssd1b", "vega"), XL),
    **dict.fromkeys(("flux", "flux_fill", "flux_control"), FLUX),
    "sd3": {**FLUX, "clip_g": ["CLIP-G"]},
    "chroma": {"vae": FLUX_VAE, "taesd": ["TAEF1"], "t5xxl": ["T5-XXL"]},
    "radiance": {"t5xxl": ["T5-XXL"]},
    "flux2": {**FLUX_2, "llm": ["Mistral Small"]},
    "klein": {**FLUX_2, "llm": ["Qwen3 4B"]},
    "ernie": {**FLUX_2, "llm": ["Ministral 3B"]},
    "ovis": {"vae": FLUX_VAE, "taesd": ["TAEF1"], "llm": ["Ovis 2.5's language model"]},
    "zimage": {"vae": FLUX_VAE, "taesd": ["TAEF1"], "llm": ["Qwen3 4B"]},
    "anima": {"vae": ["VAE of Wan 2.1 or Qwen Image"], "taesd": ["TAEW 2.1"], "llm": ["Qwen3 0.6B"]},
    "qwen": {
        "vae": ["VAE of Wan 2.1 or Qwen Image"],
        "taesd": ["TAEW 2.1"],
        "llm": ["Qwen2.5-VL 7B"],
        "llm_vision": ["Qwen2.5-VL's vision"],
    },
    "wan21": WAN_21,
    "wan21_i2v": {**WAN_21, "clip_vision": ["CLIP-H vision"]},
    "wan22": {"vae": ["VAE of Wan 2.2"], "taesd": ["TAEW 2.2"], "t5xxl": ["UMT5-XXL"]},
    "wan22_i2v": {**WAN, "high_noise_diffusion_model": ["Wan 2.2 I2V model"]},
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("headers"))


def cells(bench: Bench, name: str) -> Iterator[tuple[Component, str, Verdict]]:
    for role, file in itertools.product(ROLES, COMPONENT_FILES):
        yield role, file, bench.verdict(name, role, file)


def test_the_table_is_whole() -> None:
    assert TAKEN.keys() == set(LOADABLE)
    # Flex.2 and the small FLF2V model cannot be used at all, the others differ in their parts.
    assert FAMILIES.keys() - set(LOADABLE) == {
        *("flex2", "wan21_flf2v"),
        *("flux_schnell", "sd35", "qwen_edit", "wan21_vace", "wan21_experts"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADABLE)
def test_each_file_is_taken_told_or_refused_by_its_role(bench: Bench, name: str) -> None:
    assert bench.alone(name).answer != "refused"
    used = used_roles(bench.family(name), inspect_file(bench.model_path(name)).tensors)
    taken: dict[str, list[str]] = {}
    for role, file, verdict in cells(bench, name):
        if verdict.answer == "accepted":
            taken.setdefault(role, []).append(file)
            continue
        assert "".join(part for part in file if part.isalnum()) in verdict.sentence
        if verdict.answer == "refused":
            assert verdict.field == role
            assert verdict.sentence.startswith(f"{role}: ")
        else:
            assert role not in used
    assert taken == TAKEN[name]


@for_each_case("name", [name for name in LOADABLE if name.startswith("sd") and "xl" not in name and name != "sd3"])
def test_a_second_text_encoder_never_makes_an_sdxl_of_a_smaller_model(bench: Bench, name: str) -> None:
    verdict = bench.verdict(name, "clip_g", "CLIP-G")
    assert (verdict.answer, verdict.field) == ("refused", "clip_g")
    assert "only SDXL has a second one" in verdict.sentence


@for_each_case(
    ("name", "role", "file", "words"),
    [
        ("flux", "vae", "VAE of SD 1 to XL", "a VAE of 4 channels; Flux needs a VAE of 16 channels, such as ae.safet"),
        (
            "sdxl",
            "vae",
            "VAE of Flux or SD3",
            "a VAE of 16 channels; SDXL needs a VAE of 4 channels, such as sdxl_vae.safet",
        ),
        ("flux", "taesd", "TAESD", "a tiny autoencoder of 4 channels; Flux needs a tiny autoencoder of 16 channels"),
        ("wan21", "t5xxl", "T5-XXL", "a T5-XXL text encoder; Wan 2.x needs a UMT5-XXL text encoder, such as umt5_xxl"),
        ("wan21_i2v", "clip_vision", "CLIP-L vision", "a CLIP-L vision encoder; Wan 2.x needs a CLIP-H vision"),
        ("wan21_i2v", "clip_vision", "PhotoMaker", "a PhotoMaker; 'clip_vision' needs a CLIP-H vision encoder"),
        (
            "zimage",
            "llm",
            "Ovis 2.5's language model",
            "does not fit: The language model is 2048 wide; this Z-Image model expects",
        ),
        ("flux2", "llm", "Qwen3 4B", "is 2560 wide; this Flux.2 model expects one of width 5120"),
        ("sd15", "controlnet", "ControlNet of SDXL", "is a ControlNet for SDXL; SD 1.x needs one for texts 768 wide"),
        ("sd1_tiny", "controlnet", "ControlNet of SD 1", "cannot be used with a ControlNet, its UNet is too small"),
        ("flux", "photo_maker", "PhotoMaker", "Flux cannot be used with PhotoMaker, which is made for SDXL models"),
        ("wan21", "high_noise_diffusion_model", "Flux model", "is a model of another family (Flux) than the model"),
        ("flux", "clip_vision", "CLIP-H vision", "Flux makes no use of a CLIP vision encoder"),
        (
            "klein",
            "clip_l",
            "CLIP-L",
            "Flux.2 klein makes no use of a CLIP-L text encoder: the clip_l CLIPL.gguf has no",
        ),
        ("radiance", "taesd", "TAEF1", "Chroma Radiance draws pixels itself: the taesd TAEF1.gguf is not used."),
        (
            "flux",
            "controlnet",
            "ControlNet of SD 1",
            "Flux cannot be used with a ControlNet; ControlNetofSD1.gguf is load",
        ),
    ],
)
def test_the_words(bench: Bench, name: str, role: Component, file: str, words: str) -> None:
    assert words in bench.verdict(name, role, file).sentence
