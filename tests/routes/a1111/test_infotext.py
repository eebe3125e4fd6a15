from __future__ import annotations

from sdcpp_rest.routes.a1111 import infotext

PAIRS = {
    "Steps": 20,
    "Sampler": "Euler a",
    "Schedule type": "Automatic",
    "CFG scale": 7.0,
    "Seed": 123,
    "Size": "512x512",
    "Model hash": "6ce0161689",
    "Model": "name",
    "VAE": None,
    "Ignored": "restore_faces, LoRA x",
    "Version": "v1",
}
TEXT = (
    "a cat\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.0, Seed: 123, "
    'Size: 512x512, Model hash: 6ce0161689, Model: name, Ignored: "restore_faces, LoRA x", Version: v1'
)


def test_text_is_laid_out_as_those_programs_lay_it_out() -> None:
    assert infotext.write("a cat", "blurry", PAIRS) == TEXT


def test_an_empty_negative_prompt_has_no_line() -> None:
    assert infotext.write("a cat", "", {"Steps": 1}) == "a cat\nSteps: 1"


def test_a_pair_that_is_its_own_name_is_written_once() -> None:
    assert infotext.write("", "", {"Tiling": "Tiling", "Steps": 1}) == "Tiling, Steps: 1"


def test_what_was_written_is_read_back_with_what_is_taken_for_granted() -> None:
    read = infotext.parse(TEXT)
    assert read["Prompt"] == "a cat"
    assert read["Negative prompt"] == "blurry"
    assert (read["Size-1"], read["Size-2"]) == ("512", "512")
    assert read["Ignored"] == "restore_faces, LoRA x"
    assert (read["Clip skip"], read["Hires resize-1"], read["RNG"]) == ("1", 0, "GPU")


def test_nothing_still_has_every_key() -> None:
    assert infotext.parse("").keys() >= {"Prompt", "Negative prompt", "Clip skip", "Schedule type", "RNG"}


def test_a_text_gives_the_fields_of_a_request() -> None:
    fields = infotext.request_fields(TEXT)
    assert fields == {
        "prompt": "a cat", "negative_prompt": "blurry", "steps": "20", "sampler_name": "Euler a",
        "scheduler": "Automatic", "cfg_scale": "7.0", "seed": "123", "width": "512", "height": "512",
    }  # fmt: skip


def test_hires_fix_and_masks_are_read_from_a_text() -> None:
    fields = infotext.request_fields(
        "x\nSteps: 2, Sampler: Euler, Seed: 1, Hires upscale: 1.5, Hires upscaler: Latent, Mask mode: "
        "Inpaint not masked, Clip skip: 2"
    )
    assert fields["enable_hr"] is True
    assert (fields["hr_scale"], fields["hr_upscaler"]) == ("1.5", "Latent")
    assert fields["inpainting_mask_invert"] == 1
    assert fields["clip_skip"] == "2"


def test_a_text_without_pairs_is_a_prompt() -> None:
    assert infotext.request_fields("only words") == {"prompt": "only words"}
