"""The largest families and what goes on top of a model: ControlNet, PhotoMaker, embeddings, hires fix, upscalers."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.e2e.families.family_server import FamilyServer, draw_family, encoded, every_family, scene
from tools.synthetic_models.files import write_face_embedding

pytestmark = [pytest.mark.e2e, pytest.mark.native]


def test_controlnet_changes_what_sd15_draws(server: FamilyServer) -> None:
    control = {"control_image_base64": encoded(scene())}
    with server.stocked("sd15", "controlnet"):
        server.load_family("sd15", controlnet="controlnet")
        alone = server.draw()
        controlled = server.draw(**control)
        assert np.abs(alone.astype(int) - controlled).max() > 0
        edges = server.draw(**control, preprocess="canny")
        assert np.abs(controlled.astype(int) - edges).max() > 0
        assert np.abs(alone.astype(int) - server.draw(**control, control_strength=0.0)).max() <= 2
        server.record("sd15", "ControlNet, also of canny edges, 64x64", "controlnet")


def test_controlnet_is_put_in_and_taken_out_by_reloads(server: FamilyServer) -> None:
    control = {"control_image_base64": encoded(scene())}
    with server.stocked("sd15", "controlnet"):
        server.load_family("sd15")
        alone = server.draw()
        answer = server.post("/controlnet/load", {"controlnet": server.name_of("controlnet")})
        assert (answer.status_code, answer.json()["reloaded"]) == (200, True), answer.text
        assert np.abs(alone.astype(int) - server.draw()).max() <= 2, "the same model, and the same options"
        assert np.abs(alone.astype(int) - server.draw(**control)).max() > 0
        answer = server.post("/controlnet/unload")
        assert (answer.status_code, answer.json()["reloaded"]) == (200, True), answer.text
        assert server.get("/controlnet/status") == {"loaded": False, "name": None, "selected": None}
        assert server.post("/txt2img", {"prompt": "a lighthouse", **control}).status_code == 400
        server.record("sd15", "ControlNet put in and taken out by reloads, 64x64", "controlnet")


def test_control_image_without_a_controlnet_is_refused(server: FamilyServer) -> None:
    with server.stocked("klein"):
        server.load_family("klein")
        body = {"prompt": "a lighthouse", "control_image_base64": encoded(scene())}
        answer = server.post("/txt2img", body)
        assert answer.status_code == 400
        assert "control" in answer.json()["error"].lower()


def test_vega_loads_and_draws(server: FamilyServer) -> None:
    draw_family(server, "vega", steps=1)


def test_sd3_loads_and_draws(server: FamilyServer) -> None:
    draw_family(server, "sd3", steps=1)


@every_family
def test_sd3_refuses_prompts_that_its_encoders_read_in_unequal_parts(server: FamilyServer) -> None:
    # The library reads past the end of the shorter one, and its process ends.
    with server.stocked("sd3", "t5xxl"):
        server.load_family("sd3", t5xxl="t5xxl")
        pid = server.engine().pid
        answer = server.post(
            "/txt2img", {"prompt": "Donaudampfschifffahrt " * 9, "width": 64, "height": 64, "steps": 1}
        )
        assert answer.status_code == 400
        assert "t5xxl has 63 tokens in 1" in answer.json()["error"]
        server.draw(prompt="antidisestablishmentarianism " * 14)
        server.draw(prompt="cat " * 70)
        assert server.engine().pid == pid


def test_embedding_is_a_word_of_the_prompt(server: FamilyServer) -> None:
    prompt = "a lighthouse embedding_sd1"
    with server.stocked("sd1_tiny"):
        server.load_family("sd1_tiny")
        spelled = server.draw(prompt=prompt)
        with server.stocked("embedding_sd1"):
            server.load_family("sd1_tiny")
            understood = server.draw(prompt=prompt)
            server.record("sd1_tiny", "embedding, 64x64", "embedding_sd1")
        assert np.abs(spelled.astype(int) - understood).max() > 0


@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos", "esrgan_x2"])
def test_hires_fix_doubles_the_picture(server: FamilyServer, upscaler: str) -> None:
    with server.stocked("flux_schnell", "esrgan_x2"):
        server.load_family("flux_schnell")
        fields = {"hires": True, "hires_scale": 2.0, "hires_steps": 2, "hires_denoising_strength": 0.5}
        assert server.draw(hires_upscaler=upscaler, **fields).shape == (128, 128, 3)
        server.record("flux_schnell", f"hires fix by {upscaler}: 128x128")


@pytest.mark.parametrize(("upscaler", "factor"), [("esrgan_x2", 2), ("esrgan_x4", 4)])
def test_upscaler_enlarges_a_picture(server: FamilyServer, upscaler: str, factor: int) -> None:
    with server.stocked(upscaler):
        answer = server.post("/upscaler/load", {"model_name": server.name_of(upscaler)})
        assert answer.status_code == 200, answer.text
        assert answer.json()["upscale_factor"] == factor
        submitted = server.post("/upscale", {"image_base64": encoded(scene((32, 24)))})
        assert submitted.status_code == 202, submitted.text
        job = server.wait(submitted.json()["job_id"])
        assert job["status"] == "completed", job
        with Image.open(io.BytesIO(server.picture(job["job_id"]))) as picture:
            assert picture.size == (32 * factor, 24 * factor)
        assert server.post("/upscaler/unload").status_code == 200


def test_picture_is_upscaled_when_it_is_drawn(server: FamilyServer) -> None:
    with server.stocked("flux_schnell", "esrgan_x2"):
        server.load_family("flux_schnell")
        answer = server.post("/upscaler/load", {"model_name": "esrgan_x2.gguf"})
        assert answer.status_code == 200, answer.text
        assert server.draw(upscale=True, upscale_repeats=2).shape == (256, 256, 3)
        server.record("flux_schnell", "upscaled twice when drawn: 256x256", "esrgan_x2")


@every_family
@pytest.mark.parametrize("version", ["photo_maker", "photo_maker_v2"])
def test_photo_maker_puts_a_face_into_the_picture(server: FamilyServer, version: str) -> None:
    prompt = "a man img, lighthouse"
    with server.stocked("vega", version):
        server.load_family("vega", photo_maker=version)
        # It needs faces: without any, the library leaves PhotoMaker out until the model is loaded again.
        fields = {"pm_id_images": [encoded(scene((224, 224)))]}
        if version == "photo_maker_v2":
            write_face_embedding(server.models / "photo_maker" / "face.bin")
            fields["pm_id_embed_path"] = "face.bin"
        faced = server.draw(prompt=prompt, steps=2, pm_style_strength=50.0, **fields)
        server.record("vega", "a face, 64x64", version)
        server.load_family("vega")
        assert np.abs(server.draw(prompt=prompt, steps=2).astype(int) - faced).max() > 0
