"""The formulas against what the library logged as its compute buffers and its weights, in MiB.

Measured on the CPU with files of the real widths and one or a few blocks: a buffer does not grow with their number.
"""

from __future__ import annotations

import pytest

from sdcpp_rest.core import fit
from sdcpp_rest.core.architectures import ARCHITECTURES, Shapes
from sdcpp_rest.core.fit import Autoencoder, Size
from sdcpp_rest.core.quantization import BY_NAME, tensor_type_rules
from tests.cases import for_each_case

MIB = 1 << 20
FLUX = {"img_in.weight": (64, 3072), "txt_in.weight": (4096, 3072)}
SMALL_FLUX = {"img_in.weight": (64, 1536)}
SD3 = {"x_embedder.proj.weight": (2, 2, 16, 1536)}
Z_IMAGE = {"x_embedder.weight": (64, 3840)}
WAN = {"model.diffusion_model.text_embedding.2.weight": (1536, 1536)}
RADIANCE = {"txt_in.weight": (4096, 128)}

# family, tensors, width, height, frames, without flash attention, with it (0: not measured)
BUFFERS = [
    ("sd1", {}, 512, 512, 1, 559.9, 123.1),
    ("sd1", {}, 768, 768, 1, 2690.3, 276.6),
    ("sd1", {}, 1024, 1024, 1, 8360.9, 491.6),
    ("sd2", {}, 512, 512, 1, 368.0, 0),
    ("sd2", {}, 1024, 1024, 1, 5289.0, 0),
    ("sdxl", {}, 512, 512, 1, 132.1, 123.5),
    ("sdxl", {}, 1024, 1024, 1, 830.9, 492.0),
    ("sdxl", {}, 1536, 1536, 1, 3607.6, 1106.2),
    ("sdxl_vega", {}, 1024, 1024, 1, 791.4, 0),
    ("sdxl_ssd1b", {}, 1024, 1024, 1, 804.6, 0),
    ("sd3", SD3, 512, 512, 1, 169.6, 64.5),
    ("sd3", SD3, 1024, 1024, 1, 1786.1, 251.6),
    ("sd3", SD3, 1536, 1536, 1, 8321.7, 875.1),
    ("flux", FLUX, 512, 512, 1, 341.5, 230.5),
    ("flux", FLUX, 1024, 1024, 1, 2361.3, 780.3),
    ("flux", FLUX, 1536, 1536, 1, 9567.5, 1680.5),
    ("flux", SMALL_FLUX, 1024, 1024, 1, 1182.3, 391.8),
    ("chroma", FLUX, 1024, 1024, 1, 2369.0, 788.0),
    ("chroma_radiance", RADIANCE, 512, 512, 1, 1928.3, 0),
    ("chroma_radiance", RADIANCE, 1024, 1024, 1, 7702.4, 0),
    ("flux2_klein", FLUX, 512, 512, 1, 476.1, 350.1),
    ("flux2_klein", FLUX, 1024, 1024, 1, 2730.7, 1056.7),
    ("qwen_image", FLUX, 512, 512, 1, 183.0, 121.4),
    ("qwen_image", FLUX, 1024, 1024, 1, 1882.7, 485.1),
    ("qwen_image", FLUX, 1536, 1536, 1, 8555.5, 1091.4),
    ("z_image", Z_IMAGE, 512, 512, 1, 238.2, 173.3),
    ("z_image", Z_IMAGE, 1024, 1024, 1, 2379.5, 690.1),
    ("z_image", Z_IMAGE, 1536, 1536, 1, 10748.2, 1551.3),
    ("wan2", WAN, 832, 480, 5, 544.8, 151.0),
    ("wan2", WAN, 832, 480, 17, 3027.1, 642.1),
    ("wan2", WAN, 832, 480, 33, 9456.0, 1815.3),
]


@for_each_case(("family", "tensors", "width", "height", "frames", "plain", "flash"), BUFFERS)
def test_diffusion_buffers_are_as_measured(
    family: str, tensors: Shapes, width: int, height: int, frames: int, plain: float, flash: float
) -> None:
    size, architecture = Size(width, height, frames), ARCHITECTURES[family]
    assert fit.diffusion_buffer(architecture, tensors, size, flash=False) / MIB == pytest.approx(plain, rel=0.1)
    if flash:
        assert fit.diffusion_buffer(architecture, tensors, size, flash=True) / MIB == pytest.approx(flash, rel=0.25)


# autoencoder, side, frames, measured
VAES = [
    (Autoencoder(32), 512, 1, 416.3),
    (Autoencoder(32), 1024, 1, 1665.0),
    (Autoencoder(64), 1024, 1, 3329.0),
    (Autoencoder(128), 512, 1, 1664.3),
    (Autoencoder(128), 1024, 1, 6657.0),
    (Autoencoder(32, is_scaled=True), 512, 1, 480.1),
    (Autoencoder(32, is_scaled=True), 1024, 1, 1920.3),
    (Autoencoder(32, is_scaled=True), 1536, 1, 4320.6),
    (Autoencoder(64, is_tiny=True), 512, 1, 480.3),
    (Autoencoder(64, is_tiny=True), 1024, 1, 1921.0),
    (Autoencoder(64, is_tiny=True, is_video=True), 512, 1, 1728.3),
    (Autoencoder(64, is_tiny=True, is_video=True), 128, 5, 216.0),
    (Autoencoder(64, is_tiny=True, is_video=True), 128, 17, 540.1),
]


@for_each_case(("autoencoder", "side", "frames", "measured"), VAES)
def test_decoding_buffers_are_as_measured(autoencoder: Autoencoder, side: int, frames: int, measured: float) -> None:
    assert fit.vae_buffer(autoencoder, Size(side, side, frames)) / MIB == pytest.approx(measured, rel=0.02)


def test_direct_convolutions_and_tiles_take_less() -> None:
    size = Size(512, 512)
    assert fit.vae_buffer(Autoencoder(128), size, direct=True) / MIB == pytest.approx(704.3, rel=0.05)
    assert fit.vae_buffer(Autoencoder(128), Size(4096, 4096), tiling=True) == 416 * MIB
    scaled = fit.vae_buffer(Autoencoder(32, is_scaled=True), Size(1024, 1024), direct=True)
    assert scaled / MIB == pytest.approx(960.3, rel=0.001)


@for_each_case(
    ("planned", "allocated"), [(123, 123), (480, 480), (492, 492), (1_106, 1_297), (1_920, 2_112), (4_321, 5_725)]
)
def test_pieces_that_vulkan_allocates_are_as_measured(planned: int, allocated: int) -> None:
    estimate = fit.allocated_bytes(planned * MIB, "Vulkan") / MIB
    assert allocated <= estimate + 40
    assert estimate <= allocated * 1.25
    assert fit.allocated_bytes(planned * MIB, "CUDA") == planned * MIB


def test_a_model_that_was_not_recognised_is_taken_for_a_usual_one() -> None:
    size = Size(1024, 1024)
    assert fit.diffusion_buffer(None, {}, size, flash=False) == fit.diffusion_buffer(
        ARCHITECTURES["flux"], FLUX, size, flash=False
    )


@for_each_case(
    ("tensors", "expected"),
    [
        ({"first_stage_model.decoder.conv_out.weight": (3, 3, 128, 3)}, Autoencoder(128)),
        ({"decoder.layers.0.weight": (3, 3, 16, 64)}, Autoencoder(64, is_tiny=True)),
        ({"decoder.22.weight": (3, 3, 64, 3)}, Autoencoder(64, True, True, 1)),
        ({"decoder.22.weight": (3, 3, 64, 12)}, Autoencoder(64, True, True, 2)),
        ({"decoder.head.2.weight": (3, 3, 3, 96, 3)}, Autoencoder(96, is_video=True)),
        ({"img_in.weight": (64, 128)}, None),
    ],
)
def test_autoencoders_are_told_by_their_tensors(tensors: Shapes, expected: Autoencoder | None) -> None:
    assert fit.autoencoder_of(tensors) == expected


# --- weights ----------------------------------------------------------------------------------------------------------


@for_each_case(
    ("name", "shape", "stored", "asked", "expected"),
    [
        ("a.weight", (64, 10), "q8_0", "", 10 * 2 * 34),
        ("a.weight", (64, 10), "f16", "q4_0", 10 * 2 * 18),
        ("a.weight", (48, 10), "f16", "q4_0", 48 * 10 * 2),  # no whole blocks in a row: kept
        ("a.weight", (64, 10), "f8_e4m3", "", 64 * 10 * 2),
        ("img_in.weight", (64, 10), "f16", "q4_0", 64 * 10 * 2),
        ("final_layer.linear.weight", (64, 10), "bf16", "q8_0", 64 * 10 * 2),
        ("conv.weight", (3, 3, 8, 8), "f32", "q4_0", 3 * 3 * 8 * 8 * 2),
        ("norm.weight", (64,), "f16", "q4_0", 64 * 4),
        ("text_model.embeddings.token_embedding.weight", (64, 10), "bf16", "", 64 * 10 * 4),
        ("text_model.embeddings.token_embedding.weight", (64, 10), "q4_0", "q8_0", 10 * 2 * 18),
        ("token_embd.weight", (256, 10), "q4_k", "", 256 * 10 * 4),
    ],
)
def test_weights_are_counted_as_the_library_holds_them(
    name: str, shape: tuple[int, ...], stored: str, asked: str, expected: int
) -> None:
    counted = fit.weight_bytes({name: shape}, {name: stored}, "diffusion_model", BY_NAME.get(asked))
    assert counted == {"diffusion_model": expected}


def test_rules_win_over_the_type_that_was_asked_for() -> None:
    rules = tensor_type_rules("rules", "^vae\\.=f16")
    tensors = {"vae.a.weight": (64, 2), "b.weight": (64, 2)}
    counted = fit.weight_bytes(tensors, dict.fromkeys(tensors, "f32"), "diffusion_model", BY_NAME["q8_0"], rules)
    assert counted == {"vae": 64 * 2 * 2, "diffusion_model": 2 * 2 * 34}


def test_parts_of_a_checkpoint_are_told_apart_by_their_names() -> None:
    parts = ["model.diffusion_model.x", "first_stage_model.x", "cond_stage_model.x", "conditioner.x", "x"]
    assert [fit.part_of(name, "diffusion_model") for name in parts] == [
        "diffusion_model", "vae", "text_encoders", "text_encoders", "diffusion_model",
    ]  # fmt: skip


# SDXL with an autoencoder of 32 channels, on an H200: weights on the card, side of the picture, the most memory that
# was seen in use there; all in MiB. docs/performance.md has the tables.
SEEN_ON_CUDA = [
    (2912, 512, 3180),
    (2912, 1024, 5094),
    (2912, 1536, 7654),
    (3816, 512, 4018),
    (3816, 1024, 4406),
    (3816, 1536, 8332),
    # With offload_to_cpu one part at a time is there: the diffusion model with its buffer, or the autoencoder.
    (66, 1536, 4748),
]


@for_each_case(("weights", "side", "seen"), SEEN_ON_CUDA)
def test_no_estimate_is_below_what_was_seen_on_a_card(weights: int, side: int, seen: int) -> None:
    decoding = fit.vae_buffer(Autoencoder(channels=32, is_scaled=True), Size(side, side)) / MIB
    estimate = weights + decoding + fit.backend_bytes("CUDA", side * side) / MIB
    assert seen <= estimate
    if side == 1536:
        assert estimate < 1.04 * seen, "the peak was caught there, and the estimate is not far above it"


def test_what_a_backend_keeps_grows_with_the_picture_where_that_was_measured() -> None:
    for backend in ("CUDA", "ROCm", "MUSA"):
        kept = [fit.backend_bytes(backend, side * side) / MIB for side in (0, 512, 1024, 1536, 2048)]
        assert kept[:3] == [400, 400, 400]
        assert 424 < kept[3] < 470 < kept[4]
    assert fit.backend_bytes("Vulkan", 2048 * 2048) == fit.backend_bytes("Vulkan") == 128 * MIB
    assert fit.backend_bytes("CPU", 2048 * 2048) == fit.backend_bytes("", 512) == 0
