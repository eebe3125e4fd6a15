"""Reads the objects of parameters that SwarmUI writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdcpp_rest.core.enlarging_methods import ENLARGING_METHODS
from sdcpp_rest.core.json_captions import PARAMS, read_object
from sdcpp_rest.services.pictures.metadata.file_texts import COMMENT, PARAMETERS, USER_COMMENT, FileTexts
from sdcpp_rest.services.pictures.metadata.found_settings import FoundSettings, read_float, read_word

_VALUES = {
    "steps": "steps",
    "cfgscale": "cfg_scale",
    "seed": "seed",
    "width": "width",
    "height": "height",
    "fluxguidancescale": "distilled_guidance",
    "sigmashift": "flow_shift",
    "videoframes": "video_frames",
    "textvideoframes": "video_frames",
    "videofps": "fps",
    "textvideofps": "fps",
}
_HIRES_VALUES = {"refinerupscale": "scale", "refinersteps": "steps", "refinercontrolpercentage": "denoising_strength"}
_KNOWN = {
    *_VALUES,
    *("prompt", "negativeprompt", "model", "vae", "sampler", "scheduler", "loras", "loraweights"),
    *("clipstopatlayer", "initimagecreativity"),
}


def read_swarmui(file: FileTexts) -> FoundSettings | None:
    """What the object of such a text says."""
    for key in (PARAMETERS, USER_COMMENT, COMMENT):
        whole = read_object(file.texts.get(key, ""))
        if whole is not None:
            return _read_parameters(whole[PARAMS], whole)
    return None


def _read_parameters(params: Mapping[str, Any], whole: Mapping[str, Any]) -> FoundSettings:
    found = FoundSettings(tool="swarmui")
    found.put_prompts(params.get("prompt"), params.get("negativeprompt"))
    for name, ours in _VALUES.items():
        found.put(ours, params.get(name))
    found.put_sampling(params.get("sampler"), params.get("scheduler"))
    hashes = _hashes(whole.get("sui_models"))
    found.put_model(params.get("model"), hashes.get("model"))
    found.put_vae(params.get("vae"), hashes.get("vae"))
    _fill_loras(found, params, hashes)
    layer = read_float(params.get("clipstopatlayer"))
    if layer is not None and layer < 0:
        found.put("clip_skip", -layer)
    if "initimagecreativity" in params:
        found.put("strength", params["initimagecreativity"])
        found.kind = "img2img"
    if "video_frames" in found.values:
        found.kind = "txt2vid"
    known = _KNOWN | _fill_hires(found, params)
    found.keep_rest(params, known)
    found.keep_rest({name: value for name, value in whole.items() if name != PARAMS}, frozenset())
    return found


def _fill_hires(found: FoundSettings, params: Mapping[str, Any]) -> set[str]:
    """A refiner that makes the picture larger is the hires fix; returns which parameters that took."""
    scale = read_float(params.get("refinerupscale"))
    if scale is None or scale <= 1:
        return set()
    method = read_word(params.get("refinerupscalemethod"))
    upscaler = ENLARGING_METHODS.get(method) or method.removeprefix("model-")
    found.start_hires(**{ours: params.get(name) for name, ours in _HIRES_VALUES.items()}, upscaler=upscaler)
    return {*_HIRES_VALUES, "refinerupscalemethod"}


def _fill_loras(found: FoundSettings, params: Mapping[str, Any], hashes: Mapping[str, str]) -> None:
    names, weights = params.get("loras"), params.get("loraweights")
    # One LoRA, or several in one text, where versions differ.
    names = names.split(",") if isinstance(names, str) else names
    weights = weights.split(",") if isinstance(weights, str) else weights
    weights = weights if isinstance(weights, list) else []
    for index, name in enumerate(names if isinstance(names, list) else []):
        weight = weights[index] if index < len(weights) else 1.0
        found.put_lora(name, weight, hashes.get(read_word(name), ""))


def _hashes(models: Any) -> dict[str, str]:
    """The hashes of the model and the VAE by what they are, those of LoRAs by their names."""
    hashes: dict[str, str] = {}
    for one in models if isinstance(models, list) else []:
        if isinstance(one, dict):
            param, name = read_word(one.get("param")), read_word(one.get("name")).removesuffix(".safetensors")
            hashes[name if param == "loras" else param] = read_word(one.get("hash"))
    return hashes
