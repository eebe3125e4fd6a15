"""How each dialect says what a hostile input says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.faults.hostile.inputs import (
    Body,
    Call,
    Conversion,
    Fields,
    Form,
    Graph,
    Input,
    LoadOptions,
    ModelFile,
    PictureFile,
    Upscaling,
    VideoFields,
)
from tests.faults.hostile.known_files import MODEL
from tests.faults.hostile.mutants import BOUNDARY, form_bytes
from tests.faults.hostile.sending import Sent
from tests.routes.comfyui.conftest import simple_graph

SMALL = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 1, "seed": 1}
_MCP = "2026-07-28"
Words = Mapping[str, str]
"""The native names of fields, and the dialect's."""

_A1111: Words = {
    "prompt": "prompt", "negative_prompt": "negative_prompt", "width": "width", "height": "height", "steps": "steps",
    "seed": "seed",
    "cfg_scale": "cfg_scale", "sampler": "sampler_name", "scheduler": "scheduler", "batch_count": "n_iter",
    "eta": "eta",
    "clip_skip": "clip_skip", "strength": "denoising_strength", "init_image_base64": "init_images",
    "mask_image_base64": "mask",
    "hires": "enable_hr", "hires_scale": "hr_scale", "hires_upscaler": "hr_upscaler", "hires_width": "hr_resize_x",
    "hires_steps": "hr_second_pass_steps", "distilled_guidance": "distilled_cfg_scale", "ref_images": "extra_images",
}  # fmt: skip
_PLAIN = ("prompt", "negative_prompt", "width", "height", "steps", "seed", "cfg_scale")
_OPENAI: Words = {
    **{name: name for name in _PLAIN}, "sampler": "sampler", "scheduler": "scheduler", "batch_count": "n",
    "strength": "strength", "init_image_base64": "image", "mask_image_base64": "mask",
}  # fmt: skip
_OLLAMA: Words = {**{name: name for name in _PLAIN}, "strength": "strength", "init_image_base64": "images"}
_SDCN: Words = {
    **{name: name for name in _PLAIN}, "sampler": "sampler_name", "init_image_base64": "init_image",
    "strength": "denoising_strength",
}  # fmt: skip
_SWARM: Words = {
    "prompt": "prompt", "negative_prompt": "negativeprompt", "width": "width", "height": "height", "steps": "steps",
    "seed": "seed",
    "cfg_scale": "cfgscale", "sampler": "sampler", "scheduler": "scheduler", "batch_count": "images",
    "clip_skip": "clipstopatlayer",
    "strength": "initimagecreativity", "init_image_base64": "initimage", "mask_image_base64": "maskimage",
    "ref_images": "promptimages",
    "hires_scale": "refinerupscale", "hires_steps": "refinersteps", "hires_upscaler": "refinerupscalemethod",
    "distilled_guidance": "fluxguidancescale", "vae_tile_size_x": "vaetilesize",
    "control_image_base64": "controlnetimageinput",
}  # fmt: skip
_SDSERVER: Words = {
    **{name: name for name in ("prompt", "negative_prompt", "width", "height", "seed", "clip_skip", "strength",
    "batch_count")},
    "init_image_base64": "init_image", "mask_image_base64": "mask_image", "ref_images": "ref_images",
    "control_image_base64": "control_image", "cache_mode": "cache_mode", "steps": "sample_params.sample_steps",
    "sampler": "sample_params.sample_method", "scheduler": "sample_params.scheduler", "eta": "sample_params.eta",
    "custom_sigmas": "sample_params.custom_sigmas", "shifted_timestep": "sample_params.shifted_timestep",
    "cfg_scale": "sample_params.guidance.txt_cfg", "distilled_guidance": "sample_params.guidance.distilled_guidance",
    "skip_layers": "sample_params.guidance.slg.layers", "slg_scale": "sample_params.guidance.slg.scale",
    "vae_tile_size_x": "vae_tiling_params.tile_size_x", "vae_tile_overlap": "vae_tiling_params.target_overlap",
    "hires": "hires.enabled", "hires_scale": "hires.scale", "hires_upscaler": "hires.upscaler",
    "hires_steps": "hires.steps",
    "hires_width": "hires.target_width", "hires_denoising_strength": "hires.denoising_strength",
}  # fmt: skip
_AGENTS: Words = {
    **{name: name for name in _PLAIN}, "sampler": "sampler", "scheduler": "scheduler", "batch_count": "count",
    "strength": "strength",
    "init_image_base64": "image", "mask_image_base64": "mask", "ref_images": "reference_images",
}  # fmt: skip
_GRAPH: Words = {
    "prompt": "6.text", "negative_prompt": "7.text", "width": "5.width", "height": "5.height",
    "batch_count": "5.batch_size",
    "steps": "3.steps", "seed": "3.seed", "cfg_scale": "3.cfg", "sampler": "3.sampler_name", "scheduler": "3.scheduler",
    "strength": "3.denoise",
}  # fmt: skip
# Fields that are a list of pictures there.
_LISTED = ("init_images", "images")


def _say(values: Mapping[str, Any], words: Words, more: Mapping[str, Any]) -> dict[str, Any] | None:
    """A good small picture with ``values``; ``None`` where none of them has a word."""
    if not values.keys() & words.keys():
        return None
    said: dict[str, Any] = dict(more)
    for name, value in {**SMALL, **values}.items():
        *path, last = words.get(name, name).split(".") if name in words else ("",)
        holder = said
        for step in path:
            holder = holder.setdefault(step, {})
        if last:
            holder[last] = [value] if last in _LISTED and isinstance(value, str) else value
    return said


def say_natively(one: Input) -> list[Sent]:
    if isinstance(one, Fields):
        path = "/img2img" if one.values.keys() & {"init_image_base64", "mask_image_base64", "strength"} else "/txt2img"
        return [Sent(path, {**SMALL, **one.values})]
    if isinstance(one, VideoFields):
        return [Sent("/txt2vid", {**SMALL, "video_frames": 5, **one.values})]
    if isinstance(one, LoadOptions):
        said = {"options": dict(one.values)} if one.is_option else one.values
        return [Sent("/models/load", {"model_name": MODEL, **said})]
    if isinstance(one, Conversion):
        return [
            Sent("/convert", {"input_path": MODEL, "output_type": "q4_0", "output_path": "hostile.gguf", **one.values})
        ]
    if isinstance(one, Upscaling):
        return [Sent("/upscale", {"image_base64": base64.b64encode(form_bytes()).decode(), **one.values})]
    if isinstance(one, PictureFile):
        text = base64.b64encode(one.content).decode()
        form = form_bytes(content=one.content)
        return [
            Sent("/img2img", {**SMALL, "init_image_base64": text}),
            Sent("/txt2img", {**SMALL, "ref_images": [text]}),
            Sent("/upscale", {"image_base64": text}),
            Sent("/metadata/read", _only_file(form), _FORM),
            Sent("/metadata/read", one.content, {"Content-Type": "application/octet-stream"}),
        ]
    if isinstance(one, ModelFile):
        return [sent for role in one.roles for sent in _load_natively(one, role)]
    if isinstance(one, Body):
        paths = (
            "/txt2img",
            "/img2img",
            "/models/load",
            "/upscale",
            "/convert",
            "/prompt/tokens",
            "/settings/preferences",
        )
        return [Sent(path, one.content, method="PUT" if "preferences" in path else "POST") for path in paths]
    if isinstance(one, Form):
        headers = {"Content-Type": one.content_type}
        return [
            Sent("/metadata/read", one.content, headers),
            Sent("/models/upload?type=lora&name=x.safetensors", one.content, headers),
        ]
    return []


def _load_natively(one: ModelFile, role: str) -> list[Sent]:
    if role == "model":
        kind = "checkpoint" if one.type == "checkpoints" else "diffusion"
        return [
            Sent("/models/load", {"model_name": one.name, "model_type": kind}),
            Sent(f"/models/{kind}/{one.name}/inspect", method="GET"),
            Sent("/convert", {"input_path": one.name, "output_type": "q4_0", "output_path": "hostile.gguf"}),
        ]
    if role == "lora":
        return [Sent("/txt2img", {**SMALL, "prompt": f"a <lora:{one.name.rpartition('.')[0]}:1>"})]
    if role == "upscaler":
        return [Sent("/upscaler/load", {"model_name": one.name})]
    if role == "embedding":
        return [Sent("/models/load", {"model_name": MODEL, "embeddings": [one.name]})]
    return [Sent("/models/load", {"model_name": MODEL, role: one.name})]


def say_to_a1111(one: Input) -> list[Sent]:
    if isinstance(one, Fields):
        body = _say(one.values, _A1111, {})
        path = "img2img" if one.values.keys() & {"init_image_base64", "mask_image_base64", "strength"} else "txt2img"
        return [] if body is None else [Sent(f"/sdapi/v1/{path}", body)]
    if isinstance(one, PictureFile):
        text = base64.b64encode(one.content).decode()
        return [
            Sent("/sdapi/v1/img2img", {**SMALL, "init_images": [text]}),
            Sent("/sdapi/v1/png-info", {"image": text}),
            Sent("/sdapi/v1/extra-single-image", {"image": text, "upscaling_resize": 2, "upscaler_1": "Lanczos"}),
        ]
    if isinstance(one, ModelFile) and one.roles[0] == "model":
        return [Sent("/sdapi/v1/txt2img", {**SMALL, "override_settings": {"sd_model_checkpoint": one.name}})]
    if isinstance(one, ModelFile) and one.roles[0] == "lora":
        return [Sent("/sdapi/v1/txt2img", {**SMALL, "prompt": f"a <lora:{one.name.rpartition('.')[0]}:1>"})]
    if isinstance(one, Body):
        return [Sent(f"/sdapi/v1/{path}", one.content) for path in ("txt2img", "img2img", "options", "png-info")]
    return []


def say_to_openai(one: Input) -> list[Sent]:
    if isinstance(one, Fields):
        body = _say(one.values, _OPENAI, {"model": "gpt-image-1"})
        if body is None:
            extra = json.dumps(dict(one.values))
            return [
                Sent(
                    "/v1/images/generations",
                    {"prompt": f"a <sd_cpp_extra_args>{extra}</sd_cpp_extra_args>", "size": "64x64", "steps": 1},
                )
            ]
        if "image" in body or "mask" in body:
            return [Sent("/v1/images/edits", body)]
        chat = {"model": "", "messages": [{"role": "user", "content": body["prompt"]}], "modalities": ["image"]}
        return [Sent("/v1/images/generations", body), Sent("/v1/chat/completions", {**body, **chat})]
    if isinstance(one, PictureFile):
        return [
            Sent("/v1/images/edits", form_bytes(content=one.content), _FORM),
            Sent("/v1/images/variations", form_bytes(content=one.content), _FORM),
        ]
    if isinstance(one, ModelFile) and one.roles[0] == "model":
        return [Sent("/v1/images/generations", {"prompt": "a cat", "size": "64x64", "steps": 1, "model": one.name})]
    if isinstance(one, Body):
        return [Sent(f"/v1/{path}", one.content) for path in ("images/generations", "images/edits", "chat/completions")]
    if isinstance(one, Form):
        return [
            Sent(f"/v1/images/{path}", one.content, {"Content-Type": one.content_type})
            for path in ("edits", "variations")
        ]
    return []


def say_to_ollama(one: Input) -> list[Sent]:
    if isinstance(one, Fields):
        body = _say(one.values, _OLLAMA, {"stream": False})
        return [] if body is None else [Sent("/api/generate", body)]
    if isinstance(one, ModelFile) and one.roles[0] == "model":
        return [
            Sent("/api/generate", {**SMALL, "model": one.name, "stream": False}),
            Sent("/api/show", {"model": one.name}),
        ]
    return [Sent("/api/generate", one.content)] if isinstance(one, Body) else []


def say_to_sdcn(one: Input) -> list[Sent]:
    if isinstance(one, Fields):
        body = _say(one.values, _SDCN, {"model": MODEL})
        path = "img2img" if body and "init_image" in body else "txt2img"
        return [] if body is None else [Sent(f"/api/sd/{path}", body)]
    if isinstance(one, PictureFile):
        text = base64.b64encode(one.content).decode()
        return [
            Sent("/api/sd/img2img", {**SMALL, "model": MODEL, "init_image": text}),
            Sent("/api/sd/upscale", {"image": text}),
        ]
    if isinstance(one, ModelFile) and one.roles[0] == "model":
        return [Sent("/api/sd/txt2img", {**SMALL, "model": one.name})]
    if isinstance(one, ModelFile) and one.roles[0] == "lora":
        return [Sent("/api/sd/txt2img", {**SMALL, "model": MODEL, "loras": [[one.name, 1]]})]
    return [Sent(f"/api/sd/{path}", one.content) for path in ("txt2img", "img2img")] if isinstance(one, Body) else []


def say_to_swarm(one: Input) -> list[Sent]:
    """Its session is put in by who sends: the only word of a request that a server gives."""
    if isinstance(one, Fields):
        body = _say(one.values, _SWARM, {"images": 1})
        return [] if body is None else [Sent("/API/GenerateText2Image", body)]
    if isinstance(one, VideoFields):
        return [
            Sent(
                "/API/GenerateText2Image", {**SMALL, "images": 1, "textvideoframes": one.values.get("video_frames", 5)}
            )
        ]
    if isinstance(one, PictureFile):
        text = "data:image/png;base64," + base64.b64encode(one.content).decode()
        return [
            Sent("/API/GenerateText2Image", {**SMALL, "images": 1, "initimage": text}),
            Sent("/API/AddImageToHistory", {**SMALL, "image": text}),
        ]
    if isinstance(one, ModelFile) and one.roles[0] == "model":
        return [
            Sent("/API/GenerateText2Image", {**SMALL, "images": 1, "model": one.name}),
            Sent("/API/SelectModel", {"model": one.name}),
        ]
    if isinstance(one, ModelFile) and one.roles[0] == "lora":
        return [Sent("/API/GenerateText2Image", {**SMALL, "images": 1, "loras": [one.name], "loraweights": ["1"]})]
    return [Sent("/API/GenerateText2Image", one.content)] if isinstance(one, Body) else []


def say_to_comfyui(one: Input) -> list[Sent]:
    if isinstance(one, Fields):
        body = _say(one.values, _GRAPH, {})
        if body is None:
            return []
        graph = simple_graph(steps=1)
        for node, inputs in body.items():
            graph[node]["inputs"] |= inputs
        return [Sent("/prompt", {"prompt": graph})]
    if isinstance(one, Graph):
        return [
            Sent("/prompt", {"prompt": one.nodes}),
            Sent("/api/prompt", {"prompt": one.nodes, "client_id": "x", "number": -1}),
        ]
    if isinstance(one, PictureFile):
        graph = simple_graph(steps=1)
        graph["10"] = {"class_type": "LoadImage", "inputs": {"image": "hostile.png"}}
        graph["5"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["10", 0], "vae": ["4", 2]}}
        return [
            Sent("/upload/image", form_bytes("hostile.png", one.content), _FORM),
            Sent("/prompt", {"prompt": graph}),
        ]
    if isinstance(one, ModelFile) and one.roles[0] == "model":
        graph = simple_graph(steps=1)
        graph["4"]["inputs"]["ckpt_name"] = one.name
        return [Sent("/prompt", {"prompt": graph})]
    if isinstance(one, ModelFile) and one.roles[0] == "lora":
        graph = simple_graph(steps=1, model=["10", 0])
        inputs = {"lora_name": one.name, "strength_model": 1.0, "model": ["4", 0]}
        graph["10"] = {"class_type": "LoraLoaderModelOnly", "inputs": inputs}
        return [Sent("/prompt", {"prompt": graph})]
    if isinstance(one, Form):
        return [Sent(f"/upload/{path}", one.content, {"Content-Type": one.content_type}) for path in ("image", "mask")]
    return [Sent("/prompt", one.content)] if isinstance(one, Body) else []


def say_to_sd_server(one: Input) -> list[Sent]:
    if isinstance(one, Fields):
        body = _say(one.values, _SDSERVER, {})
        return [] if body is None else [Sent("/sdcpp/v1/img_gen", body)]
    if isinstance(one, VideoFields):
        return [Sent("/sdcpp/v1/vid_gen", {"prompt": "a cat", **one.values})]
    if isinstance(one, PictureFile):
        text = base64.b64encode(one.content).decode()
        small = {"prompt": "a cat", "width": 64, "height": 64, "sample_params": {"sample_steps": 1}}
        return [Sent("/sdcpp/v1/img_gen", {**small, "init_image": text}), Sent("/sdcpp/v1/upscale", {"image": text})]
    if isinstance(one, ModelFile) and one.roles[0] == "lora":
        return [
            Sent(
                "/sdcpp/v1/img_gen",
                {"prompt": "a cat", "lora": [{"path": one.name}], "sample_params": {"sample_steps": 1}},
            )
        ]
    return [Sent(f"/sdcpp/v1/{path}", one.content) for path in ("img_gen", "upscale")] if isinstance(one, Body) else []


def say_to_agents_tools(one: Input) -> list[Sent]:
    if isinstance(one, Fields):
        arguments = _say(one.values, _AGENTS, {"inline": "none"})
        if arguments is None:
            return []
        tool = (
            "edit_image" if arguments.keys() & {"image", "mask", "reference_images", "strength"} else "generate_image"
        )
        return [call_tool(tool, arguments)]
    if isinstance(one, VideoFields):
        return [call_tool("generate_video", {"prompt": "a cat", "frames": one.values.get("video_frames", 5)})]
    if isinstance(one, PictureFile):
        text = base64.b64encode(one.content).decode()
        return [call_tool("edit_image", {**SMALL, "image": text}), call_tool("upscale_image", {"image": text})]
    if isinstance(one, ModelFile) and one.roles[0] == "model":
        return [call_tool("load_model", {"model": one.name})]
    return [Sent("/mcp", one.content, call_tool("list_images", {}).headers)] if isinstance(one, Body) else []


def call_tool(tool: str, arguments: Mapping[str, Any]) -> Sent:
    """One call of MCP that needs no handshake."""
    about = {"io.modelcontextprotocol/protocolVersion": _MCP, "io.modelcontextprotocol/clientCapabilities": {}}
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments, "_meta": about},
    }
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": _MCP,
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }
    return Sent("/mcp", message, headers)


_FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def _only_file(form: bytes) -> bytes:
    """The last part of a form, which is a file."""
    head, _, last = form.rpartition(b'; name="file"')
    return head[head.rindex(b"------") :] + b'; name="file"' + last


_SAY: dict[str, Callable[[Input], list[Sent]]] = {
    "native": say_natively,
    "AUTOMATIC1111": say_to_a1111,
    "OpenAI": say_to_openai,
    "Ollama": say_to_ollama,
    "SDCN": say_to_sdcn,
    "SwarmUI": say_to_swarm,
    "ComfyUI": say_to_comfyui,
    "sd-server": say_to_sd_server,
    "MCP": say_to_agents_tools,
}
DIALECTS = tuple(_SAY)


def say(dialect: str, one: Input) -> list[Sent]:
    """The requests of a dialect that say what a hostile input says; none where it has no words for it."""
    if isinstance(one, Call):
        return [Sent(one.path, one.body)] if one.dialect == dialect else []
    return _SAY[dialect](one)
