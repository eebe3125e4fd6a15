"""Describes what the selected model, the library and the folders offer, as sd-server's clients read it.

Knows parameters and lists, and no request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core import architectures
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import ImageParams, SamplingParams
from sdcpp_rest.core.sampling import HIRES_UPSCALERS
from sdcpp_rest.routes.sdserver.translate import NATIVE_NAMES
from sdcpp_rest.routes.sdserver.wire import IMAGE_FORMATS, VIDEO_FORMATS, JobKindWord

_FORMATS: Mapping[JobKindWord, Sequence[str]] = {"img_gen": IMAGE_FORMATS, "vid_gen": VIDEO_FORMATS}
_CANCELS = {"cancel_queued": True, "cancel_generating": True}
_FEATURES: Mapping[JobKindWord, Mapping[str, bool]] = {
    "img_gen": {
        **dict.fromkeys(("init_image", "mask_image", "control_image"), True),
        "ip_adapter_image": False,
        **dict.fromkeys(("ref_images", "lora", "vae_tiling", "hires", "cache"), True),
        **_CANCELS,
    },
    "vid_gen": {
        **dict.fromkeys(("init_image", "end_image", "control_frames", "high_noise_sample_params"), True),
        **dict.fromkeys(("lora", "vae_tiling", "cache"), True),
        **_CANCELS,
    },
}
_SMALLEST_SIDE = 64


def modes_of(spec: LoadSpec | None) -> list[JobKindWord]:
    """What the model is known to make, or may make: nothing where there is none."""
    if spec is None:
        return []
    family = architectures.architecture_named(spec.architecture)
    modes: list[JobKindWord] = ["img_gen"] if family is None or family.makes_images else []
    return [*modes, "vid_gen"] if family is not None and family.makes_video else modes


def describe(
    spec: LoadSpec | None,
    usual: Mapping[JobKindWord, SamplingParams],
    options: Mapping[str, Any],
    *,
    loras: Sequence[str],
    upscalers: Sequence[str],
    limits: LimitsConfig,
) -> dict[str, Any]:
    """The answer to ``GET /sdcpp/v1/capabilities``.

    Args:
        usual: what a request that says nothing becomes, for each of `modes_of`.
        options: ``samplers`` and ``schedulers`` of the engine.
        loras, upscalers: names of files.
    """
    modes = modes_of(spec)
    current: JobKindWord | None = modes[0] if modes else None
    defaults = {mode: defaults_of(usual[mode]) for mode in modes}
    name = spec.model.name if spec else ""
    return {
        # No folder of this machine: what finds the model here is its name.
        "model": {"name": PurePath(name).name, "stem": PurePath(name).stem, "path": name},
        "current_mode": current or "",
        "supported_modes": modes,
        "defaults": defaults[current] if current else {},
        "defaults_by_mode": defaults,
        "limits": {
            "min_width": _SMALLEST_SIDE,
            "max_width": limits.side,
            "min_height": _SMALLEST_SIDE,
            "max_height": limits.side,
            "max_batch_count": limits.batch,
            "max_queue_size": limits.pending_jobs,
        },
        "samplers": list(options["samplers"]),
        "schedulers": _with_normal(options["schedulers"]),
        "output_formats": list(_FORMATS[current]) if current else [],
        "output_formats_by_mode": {mode: list(_FORMATS[mode]) for mode in modes},
        "features": dict(_FEATURES[current]) if current else dict(_CANCELS),
        "features_by_mode": {mode: dict(_FEATURES[mode]) for mode in modes},
        "loras": [{"name": PurePath(one).stem, "path": one} for one in loras],
        "upscalers": [
            {"name": one} for one in ("None", *(one for one in HIRES_UPSCALERS if one != "Model"), *upscalers)
        ],
    }


def defaults_of(params: SamplingParams) -> dict[str, Any]:
    """Parameters as a body of sd-server's that would ask for them, with the fields that its clients show."""
    values = params.model_dump(mode="json")
    told: dict[str, Any] = {}
    for path, name in NATIVE_NAMES.items():
        if name in values:
            _put(told, path, values[name])
    told["vae_tiling_params"] |= {"temporal_tiling": False, "extra_tiling_args": ""}
    if isinstance(params, ImageParams):
        told["hires"]["custom_sigmas"] = []
    scm = params.cache_options
    return {
        **told,
        "cache_mode": params.cache_mode.replace("_", "-"),
        "cache_option": "",
        "scm_mask": scm.scm_mask or "",
        "scm_policy_dynamic": scm.scm_policy_dynamic is not False,
        "output_format": (IMAGE_FORMATS if isinstance(params, ImageParams) else VIDEO_FORMATS)[0],
        "output_compression": 100,
    }


def _put(told: dict[str, Any], path: str, value: Any) -> None:
    *folders, name = path.split(".")
    for folder in folders:
        told = told.setdefault(folder, {})
    told[name] = value


def _with_normal(schedulers: Sequence[str]) -> list[str]:
    """Its clients know ``discrete`` by a second name."""
    return [name for one in schedulers for name in ([one, "normal"] if one == "discrete" else [one])]
