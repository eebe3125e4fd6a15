"""What the library draws with flash attention where the diffusion model masks its prompt, and that our loads avoid it.

On the CPU, where flash attention misreads the mask in the same way as on a GPU.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec
from sdcpp_rest.engine.native_requests import context_options
from sdcpp_rest.native.context import Context, ContextOptions, Guidance
from sdcpp_rest.native.images import RawImage
from tests.native.drawing import picture
from tools.synthetic_models.families import FAMILIES, write_file

pytestmark = pytest.mark.native


def drawn(options: ContextOptions) -> RawImage:
    with Context.load(options) as context:
        return context.generate_image(picture(steps=1, guidance=Guidance(txt_cfg=1.0)), run=1)[0]


def colours(image: RawImage) -> int:
    return len({image.pixels[at : at + 3] for at in range(0, len(image.pixels), 3)})


def test_masked_model_draws_one_flat_colour_unless_flash_attention_is_off(tmp_path: Path) -> None:
    family = FAMILIES["chroma"]
    parts = {role: FileRef(name=file, path=str(write_file(tmp_path, file))) for role, file in family.components.items()}
    spec = LoadSpec(
        model=FileRef(name="chroma", path=str(write_file(tmp_path, family.model))),
        kind=family.kind,
        architecture=family.version,
        components=parts,
    )
    plain = context_options(spec, 1, has_gpu=False)
    assert colours(drawn(plain)) > 100
    # The library's fault. When this fails after a bump, `core.flash_attention` may trust it again.
    assert colours(drawn(replace(plain, diffusion_flash_attn=True))) == 1

    for asked in (LoadOptions(), LoadOptions(flash_attn=True), LoadOptions(diffusion_flash_attn=True)):
        assert context_options(spec.model_copy(update={"options": asked}), 1, has_gpu=True) == plain
    unmasked = LoadOptions(flash_attn=True, chroma_use_dit_mask=False)
    with_flash = context_options(spec.model_copy(update={"options": unmasked}), 1, has_gpu=True)
    assert with_flash.flash_attn
    assert colours(drawn(with_flash)) > 100
