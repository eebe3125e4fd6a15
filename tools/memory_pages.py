"""Fills the tables of docs/models-by-memory.md and docs/low-memory.md: what stands between ``<!-- table: name -->`` and
``<!-- end -->``.

What to download is in the table of bundles, what it takes is the estimator's word. Nothing is told of the sizes of
files, which their source knows alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sdcpp_rest.core import fit
from sdcpp_rest.core.architectures import Shapes
from sdcpp_rest.core.bundles import BUNDLES, Bundle, BundleFile, BundleSize
from sdcpp_rest.core.fit import MIB, Autoencoder, Size
from sdcpp_rest.core.presets import PRESETS
from sdcpp_rest.core.quantization import BY_NAME

_DOCS = Path(__file__).parents[1] / "docs"
MEMORIES = (4, 6, 8, 12, 24)
_TABLE = re.compile(r"(<!-- table: (\w+) -->)\n.*?(<!-- end -->)", re.DOTALL)
_FORMATS = ("f32", "f16", "q8_0", "q6_k", "q5_k", "q5_0", "q4_k", "q4_0", "q3_k", "q2_k")
_SIDES = (512, 1024, 1536)


class _Drawn(NamedTuple):
    """What the estimator asks of a family's files: the tensor that its width is read from, and its autoencoder."""

    tensors: Shapes
    autoencoder: Autoencoder


# The real widths, as in tests/core/test_fit.py, which compares the estimator with what the library logged.
_FAMILIES: dict[str, _Drawn] = {
    "sd1": _Drawn({}, Autoencoder()),
    "sd2": _Drawn({}, Autoencoder()),
    "sdxl": _Drawn({}, Autoencoder(is_scaled=True)),
    "sd3": _Drawn({"x_embedder.proj.weight": (2, 2, 16, 1536)}, Autoencoder()),
    "flux": _Drawn({"img_in.weight": (64, 3072)}, Autoencoder()),
    "z_image": _Drawn({"x_embedder.weight": (64, 3840)}, Autoencoder()),
    "wan2": _Drawn({"text_embedding.2.weight": (1536, 1536)}, Autoencoder(channels=96, is_video=True)),
}


def fill_memory_tables(text: str) -> str:
    """The page ``text`` with its tables made anew. Raises KeyError for one that nobody makes."""
    return _TABLE.sub(lambda match: f"{match[1]}\n{_TABLES[match[2]]()}\n{match[3]}", text)


def overview_text() -> str:
    """Which file draws, by model and memory."""
    rows = ["| | " + " | ".join(f"{memory} GB" for memory in MEMORIES) + " |", "|---" * (len(MEMORIES) + 1) + "|"]
    for bundle in BUNDLES.values():
        cells = (f"`{_model_of(bundle.for_memory(memory)).saved_name}`" for memory in MEMORIES)
        rows.append(f"| [{bundle.display_name}](#{_anchor(bundle)}) | {' | '.join(cells)} |")
    return "\n".join(rows)


def bundles_text() -> str:
    """A section for each bundle: what to download for so much memory, how it is loaded, and what a picture takes."""
    lines: list[str] = []
    for bundle in BUNDLES.values():
        size = _usual_size(bundle)
        what = f"{size.width}x{size.height}" + (f", {size.frames} frames" if size.frames > 1 else "")
        lines += [
            f"## {bundle.display_name}",
            "",
            bundle.description,
            "",
            f"| memory | files | load options | besides the weights, {what} |",
            "|---|---|---|---|",
        ]
        for chosen in bundle.sizes:
            memories = [memory for memory in MEMORIES if bundle.for_memory(memory) == chosen]
            files = "<br>".join(_file_cell(file) for file in chosen.files)
            options = "<br>".join(f"`{name}={json.dumps(value)}`" for name, value in chosen.load_options.items())
            lines.append(
                f"| {', '.join(map(str, memories))} GB | {files} | {options} | {_mib(_working_bytes(bundle, chosen))} |"
            )
        notes = [f"{one.memory_gb} GB: {one.note}" for one in bundle.sizes if one.note]
        unchecked = [str(one.memory_gb) for one in bundle.sizes if not one.checked]
        if unchecked:
            notes.append(f"Nobody has run exactly these files yet for {', '.join(unchecked)} GB.")
        lines += ["", *(f"- {note}" for note in notes), "", *_commands(bundle), ""]
    return "\n".join(lines).rstrip()


def buffers_text() -> str:
    """The largest buffers of a picture by family and size, with the options that make them smaller."""
    rows = [
        "| family | size | diffusion model | with flash attention | VAE | `vae_conv_direct` | `vae_tiling` |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for family, drawn in _FAMILIES.items():
        preset = next(one for one in PRESETS.values() if one.family == family)
        sizes = [Size(side, side) for side in _SIDES] if family != "wan2" else [Size(832, 480, n) for n in (17, 33, 81)]
        for size in sizes:
            made = [fit.diffusion_buffer(preset.architecture, drawn.tensors, size, flash) for flash in (False, True)]
            vaes = [
                fit.vae_buffer(drawn.autoencoder, size),
                fit.vae_buffer(drawn.autoencoder, size, direct=True),
                fit.vae_buffer(drawn.autoencoder, size, tiling=True),
            ]
            what = f"{size.width}x{size.height}" + (f", {size.frames} frames" if size.frames > 1 else "")
            cells = " | ".join(map(_mib, [*made, *vaes]))
            rows.append(f"| {preset.architecture.name} | {what} | {cells} |")
    return "\n".join(rows)


def measured_text() -> str:
    """What each option costs: the table of docs/gpu-figures.md that tells it, so that there is one set of figures."""
    page = (_DOCS / "gpu-figures.md").read_text(encoding="utf-8")
    _, found, after = page.partition("SDXL at 1024x1024 with 4 steps, one option at a time:\n\n")
    if not found:
        raise KeyError("docs/gpu-figures.md has no table of one option at a time")
    return after.partition("\n\n")[0]


def formats_text() -> str:
    """What a thousand million weights take in each format."""
    rows = ["| format | bits per weight | 1,000 million weights, MiB | against f16 |", "|---|---:|---:|---:|"]
    for name in _FORMATS:
        bits = BY_NAME[name].bits_per_weight
        rows.append(f"| `{name}` | {bits:g} | {bits * 1e9 / 8 / MIB:,.0f} | {bits / 16:.0%} |")
    return "\n".join(rows)


def _usual_size(bundle: Bundle) -> Size:
    usual = PRESETS[bundle.preset].generation
    return Size(int(usual.get("width", 512)), int(usual.get("height", 512)), int(usual.get("video_frames", 1)))


def _working_bytes(bundle: Bundle, chosen: BundleSize) -> int:
    """The largest buffer of a picture of the usual size; the library has one at a time."""
    preset, size, options = PRESETS[bundle.preset], _usual_size(bundle), chosen.load_options
    drawn = _FAMILIES[preset.family]
    is_flash = bool(options.get("diffusion_flash_attn", True))  # on GPUs it is on by itself
    return max(
        fit.diffusion_buffer(preset.architecture, drawn.tensors, size, is_flash),
        fit.vae_buffer(drawn.autoencoder, size, bool(options.get("vae_tiling", False))),
    )


def _model_of(size: BundleSize) -> BundleFile:
    return next(file for file in size.files if file.component is None)


def _file_cell(file: BundleFile) -> str:
    role = f"`{file.component}`: " if file.component else ""
    return f"{role}[{file.saved_name}](https://huggingface.co/{file.repo}/blob/main/{file.file})"


def _commands(bundle: Bundle) -> list[str]:
    return ["```bash", f"sdcpp-rest download --bundle {bundle.id} --memory 8", "```"]


def _anchor(bundle: Bundle) -> str:
    return re.sub(r"[^\w -]", "", bundle.display_name.lower()).replace(" ", "-")


def _mib(size: int) -> str:
    return f"{size / MIB:,.0f} MiB"


_TABLES: dict[str, Callable[[], str]] = {
    "overview": overview_text,
    "bundles": bundles_text,
    "buffers": buffers_text,
    "formats": formats_text,
    "measured": measured_text,
}
