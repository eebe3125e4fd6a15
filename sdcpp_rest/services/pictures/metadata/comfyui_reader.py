"""Reads ComfyUI's graphs: follows the links back from the picture that was saved to what its last sampler was fed.

A sampler that is fed by another one's picture is the hires fix of that; one that goes on with another one's noise is
the second half of the same drawing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sdcpp_rest.services.pictures.metadata import comfyui_parts as parts
from sdcpp_rest.services.pictures.metadata.comfyui_graph import Graph, Node, graph_of
from sdcpp_rest.services.pictures.metadata.comfyui_parts import Sampler
from sdcpp_rest.services.pictures.metadata.comfyui_words import NEGATIVE, words_of
from sdcpp_rest.services.pictures.metadata.comfyui_workflow import workflow_graph
from sdcpp_rest.services.pictures.metadata.exif_texts import IMAGE_DESCRIPTION, MAKE, MODEL
from sdcpp_rest.services.pictures.metadata.file_texts import COMMENT, USER_COMMENT, FileTexts
from sdcpp_rest.services.pictures.metadata.found_settings import FoundSettings, read_json, read_object, read_word

_PROMPT, _WORKFLOW = "prompt", "workflow"
_OUTPUTS = ("Save", "VideoCombine", "SendImage", "ImageSaver", "Preview")
_LATENT_LINKS = ("samples", "latent", "pixels", "image", "LATENT", "IMAGE", "upscaled", "video")
_LATENT_METHODS = {
    "nearest-exact": "Latent (nearest-exact)",
    "bilinear": "Latent",
    "bicubic": "Latent (bicubic)",
    "area": "Latent",
    "bislerp": "Latent",
}
_PIXEL_METHODS = {"nearest-exact": "Nearest"}
_MOST_SAMPLERS = 20


def read_comfyui(file: FileTexts) -> FoundSettings | None:
    """What the graph of such a file says; the workflow counts where there is no graph."""
    graphs, workflows = [], []
    for name, sent in _objects(file):
        if name == _PROMPT:
            graphs.append(graph_of(sent))
        workflows.append(workflow_graph(sent))
    graph = next((graph for graph in (*graphs, *workflows) if graph is not None), None)
    return _read_graph(graph) if graph is not None else None


def _objects(file: FileTexts) -> Iterator[tuple[str, Any]]:
    """Whatever may be a graph or a workflow, and which of both it is called."""
    for name in (_PROMPT, _WORKFLOW):
        yield name, read_object(file.texts.get(name, ""))
    # Animated pictures have them in EXIF, each after its name.
    for key in (MODEL, MAKE, IMAGE_DESCRIPTION, USER_COMMENT):
        name, colon, text = file.texts.get(key, "").partition(":")
        if colon and name.strip().lower() in (_PROMPT, _WORKFLOW):
            yield name.strip().lower(), read_object(text)
    for key in (COMMENT, USER_COMMENT):
        inside = read_object(file.texts.get(key, "")) or {}
        for name in (_PROMPT, _WORKFLOW):
            sent = inside.get(name)
            yield name, read_json(sent) if isinstance(sent, str) else sent


def _read_graph(graph: Graph) -> FoundSettings:
    found = FoundSettings(tool="comfyui")
    last, output = _find_last(graph, found)
    if last is None:
        found.note("The graph has no sampler that is known here; nothing was read from it.")
        return found
    chain = _find_chain(graph, last)
    own = [sampler for sampler in chain if not sampler.goes_on] or chain
    base = own[0]
    _put_base(found, graph, base)
    _put_latent(found, graph, base)
    for sampler in chain:
        if sampler.goes_on:
            refiner = FoundSettings()
            parts.put_model(refiner, graph, sampler.model)
            found.keep("refiner_model", refiner.model.name)
    if len(own) > 1:
        _put_hires(found, graph, own[-1])
    if len(own) > 2:
        found.note(f"The graph draws {len(own)} times one after the other; only the first and the last were read.")
    _put_output(found, graph, output)
    found.keep("nodes", sorted({node.kind for node in graph}))
    return found


def _find_last(graph: Graph, found: FoundSettings) -> tuple[Node | None, Node | None]:
    """The sampler nearest to what the graph shows, and the node that shows it."""
    outputs = [node for node in graph if any(word in node.kind for word in _OUTPUTS)]
    outputs.sort(key=lambda node: "Preview" in node.kind)
    nearest: dict[str, tuple[Node, Node | None]] = {}
    for output in outputs[:_MOST_SAMPLERS]:
        sampler = next((node for node in graph.back_from(output.links()) if parts.is_sampler(node)), None)
        if sampler is not None:
            nearest.setdefault(sampler.id, (sampler, output))
    if not nearest:
        samplers = [node for node in graph if parts.is_sampler(node)]
        nearest = {node.id: (node, None) for node in samplers[:_MOST_SAMPLERS]}
    behind = {node.id for one, _ in nearest.values() for node in graph.back_from(one.links())}
    last = [pair for id, pair in nearest.items() if id not in behind] or [*nearest.values()]
    if len(last) > 1:
        found.note("The graph draws several pictures; what drew the first one was read.")
    return last[0] if last else (None, None)


def _find_chain(graph: Graph, last: Node) -> list[Sampler]:
    """The samplers that made the picture, the first one first."""
    chain = [parts.read_sampler(graph, last)]
    seen = {last.id}
    while len(chain) < _MOST_SAMPLERS:
        behind = graph.back_from([chain[-1].latent], *_LATENT_LINKS)
        node = next((node for node in behind if parts.is_sampler(node)), None)
        if node is None or node.id in seen:
            break
        seen.add(node.id)
        chain.append(parts.read_sampler(graph, node))
    return chain[::-1]


def _put_base(found: FoundSettings, graph: Graph, base: Sampler) -> None:
    parts.put_model(found, graph, base.model)
    positive, negative = words_of(graph, base.positive), words_of(graph, base.negative, NEGATIVE)
    if len(positive.texts) > 1:
        found.note("The graph combines several prompts; they are one here, separated by commas.")
    found.put_prompts(positive.text, "" if negative.is_zeroed else negative.text)
    found.put("distilled_guidance", positive.guidance)
    parts.put_clip_skip(found, graph, positive.clip)
    found.put("seed", base.seed)
    found.put("steps", base.steps)
    found.put("cfg_scale", base.cfg)
    found.put_sampling(base.sampler, base.scheduler)
    for node in positive.passed:
        control = graph.node(node.link("control_net"))
        if control is not None:
            found.keep("control_net", graph.scalar(control, "control_net_name"))
            found.keep("control_strength", graph.scalar(node, "strength"))


def _put_latent(found: FoundSettings, graph: Graph, base: Sampler) -> None:
    """The size, from where the latent was made; a latent of a picture says that it began with one."""
    for node in graph.back_from([base.latent], *_LATENT_LINKS):
        if node.kind.startswith("VAEEncode") or "pixels" in node.inputs:
            found.kind = "img2img"
            found.put("strength", base.denoise)
        width, height = graph.number(node, "width"), graph.number(node, "height")
        if width and height:
            found.put("width", width)
            found.put("height", height)
            frames = graph.number(node, "length", "video_frames", "num_frames")
            if frames and frames > 1:
                found.kind = "txt2vid"
                found.put("video_frames", frames)
            batch = graph.number(node, "batch_size")
            if batch and batch > 1:
                found.keep("batch_size", int(batch))
            return


def _put_hires(found: FoundSettings, graph: Graph, last: Sampler) -> None:
    """A second pass, and what made the picture larger before it."""
    scale, sides, upscaler = 1.0, (None, None), "Latent"
    for node in (last.node, *graph.back_from([last.latent], *_LATENT_LINKS)):
        if parts.is_sampler(node) and node is not last.node:
            break
        scale *= graph.number(node, "scale_by", "upscale_by") or 1.0
        if "Scale" in node.kind or "Upscale" in node.kind:
            sides = (graph.scalar(node, "width"), graph.scalar(node, "height")) if "width" in node.inputs else sides
            method = read_word(graph.scalar(node, "upscale_method"))
            if "Latent" in node.kind:
                upscaler = _LATENT_METHODS.get(method, "Latent")
            elif method:
                upscaler = _PIXEL_METHODS.get(method, "Lanczos")
        model = graph.node(node.link("upscale_model"))
        if model is not None:
            upscaler = read_word(graph.scalar(model, "model_name")) or upscaler
            break
    found.start_hires(
        steps=last.steps, denoising_strength=last.denoise, upscaler=upscaler, width=sides[0], height=sides[1]
    )
    if not sides[0]:
        found.put("hires_scale", scale)
    if last.seed != found.values.get("seed"):
        found.keep("hires_seed", last.seed)


def _put_output(found: FoundSettings, graph: Graph, output: Node | None) -> None:
    """The VAE, and a video's frames a second, which stand between the sampler and what is shown."""
    if output is None:
        return
    for node in (output, *graph.back_from(output.links(), *_LATENT_LINKS)):
        if parts.is_sampler(node):
            return
        if found.kind == "txt2vid":
            found.put("fps", graph.number(node, "fps", "frame_rate"))
        vae = graph.node(node.link("vae"))
        if vae is not None:
            found.put_vae(graph.scalar(vae, "vae_name"))
