"""The UNets of Stable Diffusion and the other transformers: load and draw through HTTP."""

from __future__ import annotations

import numpy as np
import pytest

from tests.e2e.families.family_server import FamilyServer, draw_family, encoded, every_family, scene
from tools.synthetic_models.families import FAMILIES

pytestmark = [pytest.mark.e2e, pytest.mark.native]

EDITORS = ("sd15_inpaint", "sd15_pix2pix", "sd2_inpaint", "sdxl_inpaint", "sdxl_pix2pix")
ELSEWHERE = {
    "klein", "flux", "flux_schnell", "flux_fill", "flux_control", "flex2", "flux2", "ovis", "chroma", "radiance",
    "sd15", "vega", "sd3", "qwen_edit", *EDITORS,
}  # fmt: skip
NIGHTLY = sorted(
    name for name, family in FAMILIES.items() if family.is_slow and not family.makes_video and name not in ELSEWHERE
)


@pytest.mark.parametrize("name", ["sdxs", "sd1_tiny", "qwen", "anima", "ernie"])
def test_family_loads_and_draws(server: FamilyServer, name: str) -> None:
    draw_family(server, name)


@every_family
@pytest.mark.parametrize("name", NIGHTLY)
def test_large_family_loads_and_draws(server: FamilyServer, name: str) -> None:
    draw_family(server, name, steps=1)


@every_family
@pytest.mark.parametrize("name", EDITORS)
def test_editing_family_needs_and_takes_a_picture(server: FamilyServer, name: str) -> None:
    with server.stocked(name):
        server.load_family(name)
        picture = server.draw("/img2img", init_image_base64=encoded(scene()), strength=0.9, steps=2)
        assert picture.shape == (64, 64, 3)
        server.record(name, "64x64 picture of a picture")


def test_img2img_and_lora_on_a_unet(server: FamilyServer) -> None:
    with server.stocked("sdxs", "lora_sdxs"):
        server.load_family("sdxs")
        plain = server.draw()
        redrawn = server.draw("/img2img", steps=4, strength=0.5, init_image_base64=encoded(scene()))
        with_lora = server.draw(prompt="a lighthouse <lora:lora_sdxs:40>")
        assert np.abs(plain.astype(int) - redrawn).max() > 0
        assert np.abs(plain.astype(int) - with_lora).max() > 0
        server.record("sdxs", "img2img and LoRA, 64x64", "lora_sdxs")


@every_family
def test_edit_model_loads_what_it_sees_with(server: FamilyServer) -> None:
    with server.stocked("qwen_edit"):
        server.load_family("qwen_edit", options={"vae_decode_only": False})
        assert server.draw().shape == (64, 64, 3)
        server.record("qwen_edit", "64x64 picture, vision part loaded")


@pytest.mark.parametrize("name", ["qwen", "anima"])
def test_video_autoencoder_reads_no_picture_and_the_engine_lives(server: FamilyServer, name: str) -> None:
    with server.stocked(name):
        server.load_family(name)
        assert server.refusal("/img2img", init_image_base64=encoded(scene()), strength=0.5)
        assert server.draw().shape == (64, 64, 3)
