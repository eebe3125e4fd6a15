"""Hears from the library's log that memory was refused, and says so in a sentence: who asked for how much, where, how
much was free, and what takes less.

The library goes on without what it did not get (a ControlNet, a LoRA), fails with words about something else, or ends
the process; the log alone tells. The texts are those of the pinned version. Knows lines and numbers; must not know the
library itself.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdcpp_rest.core.byte_sizes import format_size
from sdcpp_rest.core.load_spec import LoadOptions
from sdcpp_rest.core.params import ConvertParams, Params, UpscaleParams, VideoParams
from sdcpp_rest.engine.process_memory import available_bytes
from sdcpp_rest.engine.protocol import Device

# How the library names the parts of a model.
_PARTS = {
    **dict.fromkeys(("unet", "flux", "mmdit", "qwen_image", "z_image", "anima", "ernie_image"), "diffusion model"),
    **dict.fromkeys(("clip", "t5", "qwen3", "qwen2.5vl", "mistral_small3.2", "ministral3.3b"), "text encoder"),
    **dict.fromkeys(("vae", "taesd", "taehv", "wan_vae"), "VAE"),
    "clip_vision": "image encoder",
    "control_net": "ControlNet",
    "esrgan": "upscaler",
    "lora": "LoRA",
    "pmid": "PhotoMaker model",
    "id_embeds": "PhotoMaker model",
}  # fmt: skip
_MIB = 1 << 20
# Lines that tell how much was asked for; ``where`` is a device's name, or that of its kind of buffer.
_SIZED = tuple(
    (re.compile(pattern), unit)
    for pattern, unit in (
        (r"failed to allocate (?P<where>\S+) buffer of size (?P<size>\d+)", 1),
        (r"failed to allocate buffer of size (?P<size>\d+)", 1),
        (r"failed to allocate buffer, size = +(?P<size>[\d.]+) MiB", _MIB),
        (r"[Mm]emory allocation of size (?P<size>\d+) failed", 1),
        (r"insufficient memory \(attempted to allocate +(?P<size>[\d.]+) MB\)", _MIB),
        (r": failed to allocate +(?P<size>[\d.]+) MB", _MIB),
        (r"allocating (?P<size>[\d.]+) MiB on device \d+: cudaMalloc failed", _MIB),
    )
)
_PART = re.compile(
    r"(?P<part>[\w.-]+):? (?:alloc (?:partial )?(?:runtime )?params backend buffer failed|alloc compute buffer failed|"
    r"failed to allocate the compute buffer)"
)
_OTHERS = re.compile(
    r"alloc compute graph failed|params buffer allocation failed|out of memory|resource allocation failed|"
    r"ErrorOutOf(?:Device|Host)Memory|failed to reserve memory|std::bad_alloc|GGML_ASSERT\(ctx->mem_buffer != NULL\)"
)
# Pinned memory is a matter of speed: without it, the usual memory is taken.
_HARMLESS = re.compile(r"pinned memory")
_PREVIEW_LOST = "preview decode failed"


@dataclass(frozen=True)
class DeviceMemory:
    """A device and its free bytes, as far as they are known (0: not)."""

    name: str
    is_gpu: bool
    free_bytes: int


def memory_of(devices: Sequence[Device]) -> list[DeviceMemory]:
    """What is free where models lie: of main memory now, of a GPU's as of its last report, because this is asked in the
    middle of a call."""
    free = available_bytes()
    return [
        DeviceMemory(device.name, device.is_gpu, device.free_bytes if device.is_gpu else free) for device in devices
    ]


def memory_note(last_words_path: str) -> str:
    """Where an engine notes refused memory: beside its last words; empty if it leaves none."""
    return f"{last_words_path}.memory" if last_words_path else ""


class MemoryWatch:
    """Hears the log of one call after another.

    Args:
        devices: every device's memory now; asked when something was refused. Cheap.
        note_path: where a refusal is noted while its call lasts, in case the process does not survive it; empty for
            nowhere.
    """

    def __init__(self, devices: Callable[[], Sequence[DeviceMemory]], note_path: str = "") -> None:
        self._devices = devices
        self._note_path = note_path
        self._options = LoadOptions()
        self._params: Params | None = None
        self._size = 0
        self._where = self._part = ""
        self._free: tuple[DeviceMemory, ...] = ()
        self.is_refused = False
        """Whether memory was refused in this call, and not for a preview alone."""

    def begin(self, options: LoadOptions | None, params: Params | None = None) -> None:
        """A call begins: the load of a model with ``options`` (``None``: of an upscaler), or a run with ``params``."""
        self._options, self._params = options or LoadOptions(), params
        self._forget()

    def end(self) -> None:
        """The call is over, and the process lives."""
        self._forget()

    def hear(self, text: str) -> None:
        """Take a line of the log, or the text of an error."""
        if _PREVIEW_LOST in text:
            self._forget()
            return
        if _HARMLESS.search(text) or not self._take(text):
            return
        if not self.is_refused:
            self.is_refused, self._free = True, tuple(self._devices())
        if self._note_path:
            with contextlib.suppress(OSError):
                Path(self._note_path).write_text(self.sentence(), encoding="utf-8")

    def sentence(self) -> str:
        """What was refused, and the ways out, the best first."""
        what = _PARTS.get(self._part, self._part)
        who = f"the {what}" if what else "the library"
        asked = f": {who} asked for {format_size(self._size)}" if self._size else f" for {who}"
        seen = f"Not enough memory{asked}"
        device = self._device()
        if device is not None and device.free_bytes:
            seen += f" on {device.name}, where {format_size(device.free_bytes)} was free"
        return f"{seen}. What takes less: {'; '.join(self._ways_out(device))}."

    def _take(self, text: str) -> bool:
        """Remember what ``text`` tells of a refusal; false if it is about something else."""
        for pattern, unit in _SIZED:
            if found := pattern.search(text):
                size = int(float(found["size"]) * unit)
                # Bytes come after the rounded number of who asked first.
                self._size = size if unit == 1 or not self._size else self._size
                self._where = found.groupdict().get("where") or self._where
                return True
        if found := _PART.search(text):
            self._part = self._part or found["part"]
            return True
        return _OTHERS.search(text) is not None

    def _device(self) -> DeviceMemory | None:
        named = next((one for one in self._free if one.name == self._where), None)
        if named is not None or self._where:
            return named
        return next((one for one in self._free if one.is_gpu), self._free[0] if self._free else None)

    def _ways_out(self, device: DeviceMemory | None) -> list[str]:
        options, params = self._options, self._params
        if isinstance(params, UpscaleParams) or self._part == "esrgan":
            return ["a smaller tile_size of the upscaler", "a smaller picture"]
        if isinstance(params, ConvertParams):
            return ["to unload the model meanwhile", "a smaller file"]
        ways = ["a file of fewer bits, or a smaller weight_type such as q8_0 or q4_0"]
        if device is not None and device.is_gpu:
            if not options.offload_to_cpu:
                ways.append("the load option offload_to_cpu")
            if not options.keep_clip_on_cpu:
                ways.append("keep_clip_on_cpu")
        if params is None:
            return [*ways, "to close other programs"]
        if not params.vae_tiling:
            ways.append("vae_tiling")
        ways.append("a smaller width and height")
        return [*ways, "fewer frames"] if isinstance(params, VideoParams) else ways

    def _forget(self) -> None:
        self.is_refused = False
        self._size, self._where, self._part, self._free = 0, "", "", ()
        if self._note_path:
            with contextlib.suppress(OSError):
                Path(self._note_path).unlink(missing_ok=True)
