"""Flux and the families of its build: load and draw through HTTP, on models of a few megabytes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.e2e.families.family_server import FamilyServer, draw_family, encoded, scene

pytestmark = [pytest.mark.e2e, pytest.mark.native]


@pytest.mark.parametrize("name", ["klein", "flux", "flux_schnell", "flux_fill", "flux_control", "ovis", "flux2"])
def test_family_loads_and_draws(server: FamilyServer, name: str) -> None:
    draw_family(server, name)


@pytest.mark.parametrize("name", ["chroma", "radiance"])
def test_family_without_a_text_encoder_draws(server: FamilyServer, name: str) -> None:
    draw_family(server, name, steps=1)


def test_guidance_and_negative_prompt_change_the_picture(server: FamilyServer) -> None:
    with server.stocked("klein"):
        server.load_family("klein")
        plain = server.draw()
        guided = server.draw(cfg_scale=4.0, negative_prompt="fog")
        assert np.abs(plain.astype(int) - guided).max() > 0


def test_init_image_and_mask_take_part_in_a_picture(server: FamilyServer) -> None:
    mask = Image.new("L", (64, 64), 0)
    ImageDraw.Draw(mask).rectangle((32, 0, 63, 63), fill=255)
    with server.stocked("flux_schnell"):
        server.load_family("flux_schnell")
        fresh = server.draw(steps=4)
        from_scene, from_black = (
            server.draw("/img2img", steps=4, strength=0.3, init_image_base64=encoded(picture))
            for picture in (scene(), Image.new("RGB", (64, 64)))
        )
        assert np.abs(fresh.astype(int) - from_scene).max() > 0
        assert np.abs(from_scene.astype(int) - from_black).max() > 0
        inpainted = server.draw(
            "/img2img",
            steps=2,
            strength=0.9,
            init_image_base64=encoded(scene()),
            mask_image_base64=encoded(mask),
        )
        assert inpainted.shape == (64, 64, 3)
        server.record("flux_schnell", "img2img and inpainting, 64x64")


def test_fill_model_inpaints(server: FamilyServer) -> None:
    mask = Image.new("L", (64, 64), 255)
    with server.stocked("flux_fill"):
        server.load_family("flux_fill")
        pictures = {"init_image_base64": encoded(scene()), "mask_image_base64": encoded(mask)}
        assert server.draw("/img2img", strength=1.0, **pictures).shape == (64, 64, 3)
        server.record("flux_fill", "inpainting, 64x64")


def test_reference_pictures_change_what_flux_draws(server: FamilyServer) -> None:
    """Kontext is Flux with reference pictures."""
    with server.stocked("flux_schnell"):
        server.load_family("flux_schnell")
        alone = server.draw()
        pictures = [encoded(scene()), encoded(scene((96, 64)).transpose(Image.Transpose.ROTATE_90))]
        shown = server.draw(ref_images=pictures, increase_ref_index=True)
        assert np.abs(alone.astype(int) - shown).max() > 0
        server.record("flux_schnell", "2 reference pictures (Kontext), 64x64")


def test_control_picture_changes_what_flux_control_draws(server: FamilyServer) -> None:
    with server.stocked("flux_control"):
        server.load_family("flux_control")
        alone = server.draw()
        controlled = server.draw(control_image_base64=encoded(scene()))
        assert np.abs(alone.astype(int) - controlled).max() > 0
        # Reference pictures would make the library stop: they are left out, with a warning.
        assert (server.draw(ref_images=[encoded(scene())]) == alone).all()
        server.record("flux_control", "control picture, 64x64")


@pytest.mark.parametrize("name", ["flux2", "ovis"])
def test_relatives_of_flux_take_init_and_reference_pictures(server: FamilyServer, name: str) -> None:
    with server.stocked(name):
        server.load_family(name)
        picture = encoded(scene())
        assert server.draw("/img2img", init_image_base64=picture, strength=0.5, steps=2).shape == (64, 64, 3)
        assert server.draw(ref_images=[picture]).shape == (64, 64, 3)
        server.record(name, "img2img; reference picture, 64x64")


def test_lora_changes_what_flux_draws(server: FamilyServer) -> None:
    with server.stocked("flux_schnell", "lora_flux"):
        server.load_family("flux_schnell")
        without = server.draw()
        with_lora = server.draw(prompt="a lighthouse <lora:lora_flux:40>")
        without_effect = server.draw(prompt="a lighthouse <lora:lora_flux:0>")
        assert np.abs(without.astype(int) - with_lora).max() > 0
        assert np.abs(without.astype(int) - without_effect).max() <= 2
        server.record("flux_schnell", "LoRA, 64x64", "lora_flux")


def test_pictures_of_a_batch_differ(server: FamilyServer) -> None:
    with server.stocked("flux_schnell"):
        server.load_family("flux_schnell")
        job = server.run("/txt2img", batch_count=3)
        assert len(job["outputs"]) == 3
        first, second, third = (server.pixels(job, index) for index in range(3))
        assert np.abs(first.astype(int) - second).max() > 0
        assert np.abs(second.astype(int) - third).max() > 0
        assert (server.draw(seed=3) == third).all(), "picture k has the seed's k-th successor"


def test_safetensors_and_gguf_of_equal_weights_both_draw(server: FamilyServer) -> None:
    from tools.synthetic_models.families import write_file

    with server.stocked("ovis"):
        write_file(server.models, "ovis", file_format="safetensors", storage="f16")
        for ending in ("gguf", "safetensors"):
            body = {"model_name": f"ovis.{ending}", "llm": "qwen3.gguf", "taesd": "taef1.safetensors"}
            answer = server.post("/models/load", {**body, "options": {"vae_decode_only": False}})
            assert answer.status_code == 200, answer.text
            assert answer.json()["model_architecture"] == "Ovis Image"
            assert server.draw().shape == (64, 64, 3)


def test_flex2_is_refused_and_the_engine_lives(server: FamilyServer) -> None:
    with server.stocked("flex2", "klein"):
        pid = server.engine().pid
        answer = server.load("flex2")
        assert answer.status_code == 400
        assert "Flex.2" in answer.json()["error"]
        server.load_seconds = server.step_seconds = 0.0
        server.record("flex2", "refused: 400, the library would end at its first picture")
        server.load_family("klein")
        assert server.draw().shape == (64, 64, 3)
        assert server.engine().pid == pid


def test_svd_is_refused_and_the_engine_lives(server: FamilyServer) -> None:
    from tests.model_files import gguf_bytes, write

    sign = {"model.diffusion_model.input_blocks.8.0.time_mixer.mix_factor": (1,)}
    write(server.models / "checkpoints" / "svd.gguf", gguf_bytes(sign))
    pid = server.engine().pid
    answer = server.post("/models/load", {"model_name": "svd.gguf"})
    assert answer.status_code == 400
    assert "Stable Video Diffusion" in answer.json()["error"]
    assert server.engine().pid == pid


def test_flux_without_any_text_encoder_is_refused(server: FamilyServer) -> None:
    with server.stocked("flux"):
        answer = server.post("/models/load", {"model_name": "flux.gguf", "vae": "vae_flux.gguf", "clip_l": ""})
        assert answer.status_code == 400
        assert "CLIP-L" in answer.json()["error"]
