"""Files that are damaged, of another family, or of another kind: refused before the library sees them, or by the
library without harm. The engine lives through all of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.e2e.families.family_server import FamilyServer, encoded, scene
from tools.synthetic_models import flux_like, text_encoders, wan
from tools.synthetic_models.files import write_model
from tools.synthetic_models.tensors import Tensor

pytestmark = [pytest.mark.e2e, pytest.mark.native]

Change = Callable[[Sequence[Tensor]], list[Tensor]]
PARTS = {"clip_l": "clip_l.gguf", "taesd": "taef1.safetensors", "options": {"tae_preview_only": False}}


@pytest.fixture(scope="module")
def stocked(server: FamilyServer) -> Iterator[FamilyServer]:
    """With whole files beside the wrong ones. At the end it draws, in the engine it began with."""
    with server.stocked("flux_schnell", "klein", "flex2", "lora_flux"):
        pid = server.engine().pid
        yield server
        assert server.engine().pid == pid
        server.load_family("klein")
        server.draw()


def load(server: FamilyServer, name: str, **parts: object) -> tuple[int, str]:
    answer = server.post("/models/load", {"model_name": name, "model_type": "diffusion", **parts})
    return answer.status_code, str(answer.json().get("error", ""))


def without(part: str) -> Change:
    return lambda tensors: [tensor for tensor in tensors if part not in tensor.name]


def shaped(part: str, shape: tuple[int, ...]) -> Change:
    return lambda tensors: [tensor._replace(shape=shape) if part in tensor.name else tensor for tensor in tensors]


@pytest.mark.parametrize(
    ("change", "status", "why"),
    [
        (without("key_norm"), 400, "norms of its first attention block"),
        (shaped("key_norm", (256,)), 400, "wider than the whole network"),
        (shaped("key_norm", (1,)), 500, "wrong shape"),
        (without("img_in"), 500, "img_in"),
        (without("final_layer"), 500, "final_layer"),
        (shaped("vector_in.in_layer.weight", (128, 32)), 500, "wrong shape"),
    ],
)
def test_damaged_flux_is_refused(stocked: FamilyServer, change: Change, status: int, why: str) -> None:
    path = stocked.models / "diffusion_models" / "damaged.gguf"
    write_model(path, change(flux_like.flux(guidance=False)), fill="zero")
    answered, message = load(stocked, "damaged.gguf", **PARTS)
    assert (answered, why in message) == (status, True), message
    path.unlink()


def test_lora_is_no_model(stocked: FamilyServer) -> None:
    folder = stocked.models / "diffusion_models"
    shutil.copyfile(stocked.models / "loras" / "lora_flux.safetensors", folder / "lora.safetensors")
    status, message = load(stocked, "lora.safetensors", **PARTS)
    assert (status, "is a LoRA" in message) == (400, True), message


def test_family_that_ends_the_library_is_refused(stocked: FamilyServer) -> None:
    status, message = load(stocked, "flex2.gguf", **PARTS)
    assert (status, "Flex.2 cannot be used" in message) == (400, True), message


def test_flux_without_any_text_encoder_is_refused(stocked: FamilyServer) -> None:
    status, message = load(stocked, "flux_schnell.gguf", **{**PARTS, "clip_l": ""})
    assert (status, "clip_l" in message) == (400, True), message


def test_language_model_of_another_width_is_refused(stocked: FamilyServer) -> None:
    write_model(stocked.models / "llm" / "wide.gguf", text_encoders.qwen3(128), fill="zero")
    status, message = load(stocked, "klein.gguf", vae="vae_flux2.gguf", llm="wide.gguf")
    assert (status, "128 wide" in message) == (400, True), message


def test_second_expert_of_another_family_is_refused(stocked: FamilyServer) -> None:
    status, message = load(stocked, "flux_schnell.gguf", **PARTS, high_noise_diffusion_model="klein.gguf")
    assert (status, "another family" in message) == (400, True), message


def test_wan_of_29_blocks_is_refused(stocked: FamilyServer) -> None:
    write_model(stocked.models / "diffusion_models" / "wan29.gguf", without("blocks.29.")(wan.wan21()), fill="zero")
    status, message = load(stocked, "wan29.gguf", taesd="taef1.safetensors")
    assert (status, "this file has 29" in message) == (400, True), message


def test_control_image_without_a_controlnet_and_video_on_an_image_model(stocked: FamilyServer) -> None:
    stocked.load_family("flux_schnell")
    assert "ControlNet" in stocked.refusal("/txt2img", control_image_base64=encoded(scene()))
    assert "makes pictures, not videos" in stocked.refusal("/txt2vid", video_frames=5)
