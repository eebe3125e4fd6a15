"""The server about itself: who it is, how it is, what it offers."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response, request
from markupsafe import Markup
from pydantic import BaseModel, Field

from sdcpp_rest.core.load_spec import ModelKind
from sdcpp_rest.routes.http.answers import answer, is_known_caller, prefers_html, runtime
from sdcpp_rest.routes.http.links import page_link, url_path
from sdcpp_rest.routes.http.open_views import open_when
from sdcpp_rest.routes.http.openapi import HTML, Answer, documents, page_files
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import optional
from sdcpp_rest.routes.native.wire.engine_wire import EngineState
from sdcpp_rest.services.metrics import CONTENT_TYPE as METRICS_TYPE
from sdcpp_rest.services.web_page import WebPage

system = Blueprint("system", __name__)

_LINKS = {
    "health": "/health",
    "models": "/models",
    "queue": "/queue",
    "options": "/options",
    "memory": "/memory",
    "output": "/output",
    "metrics": "/metrics",
    "docs": "/docs",
    "openapi": "/openapi.json",
}

_LINK = Markup('<a href="{url}">{name}</a>')
_PAGE = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sdcpp-rest</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}
:root {{ color-scheme: light dark }}
td:first-child {{ padding-right: 2rem; opacity: .7 }}
</style>
</head>
<body>
<h1>sdcpp-rest {version}</h1>
<table>
<tr><td>status</td><td>{status}</td></tr>
<tr><td>model</td><td>{model}</td></tr>
<tr><td>engine</td><td>{engine}</td></tr>
</table>
<p>{links}</p>
</body>
</html>
""")


class Index(Answer):
    name: str
    version: str
    links: dict[str, str] = Field(description="Where to go from here: paths by name.")


class HealthWithoutKey(Answer):
    """What a caller without a key learns, where keys are configured."""

    status: Literal["ok", "degraded"] = Field(
        description="degraded: the cluster of `cluster.address` is out of reach, or the database is damaged."
    )


class LoadedComponents(Answer):
    """The components loaded with the model; nothing at all without one."""

    vae: str | None = optional("VAE.")
    clip_l: str | None = optional("CLIP-L text encoder.")
    clip_g: str | None = optional("CLIP-G text encoder.")
    t5xxl: str | None = optional("T5-XXL text encoder.")
    controlnet: str | None = optional("ControlNet.")
    llm: str | None = optional("Language model that reads the prompt.")
    llm_vision: str | None = optional("Vision part of that language model.")


class EngineShown(Answer):
    """The process that computes; with several, the home engine's."""

    pid: int | None
    state: EngineState
    backend: str | None = Field(examples=["CPU"])
    restarts: int = Field(ge=0, description="How often it was replaced.")
    library_version: str | None


class EngineCounts(Answer):
    """All engines; `GET /engines` shows them."""

    count: int = Field(ge=0, description="0 on a server that computes nothing itself.")
    available: int = Field(ge=0, description="How many compute, or could.")


class Features(Answer):
    """What there is here, for user interfaces that show only that."""

    auth_required: bool = Field(description="Whether callers have to show a key (`GET /login`).")
    auto_unload: bool = Field(description="Whether idle models can be freed (`GET /settings/auto-unload`).")
    controlnet_hotswap: bool = Field(description="Whether `POST /controlnet/load` works; here by a reload.")
    experimental_offload: bool
    unified_streaming: bool
    sefi_image: bool
    ip_adapter: bool
    ip_adapter_plus: bool
    adetailer: bool
    mcp: bool


class ProcessMemory(Answer):
    rss_bytes: int | None = Field(description="Resident memory, of all engines together; null while there is none.")


class MemoryShares(BaseModel):
    """How much of a memory is used; MB are of 1024 x 1024 bytes."""

    total_bytes: int
    used_bytes: int
    free_bytes: int
    total_mb: int
    used_mb: int
    free_mb: int
    usage_percent: float = Field(ge=0, le=100)


class SystemMemory(Answer, MemoryShares):
    """The machine's main memory."""

    available_bytes: int = Field(description="The same as free_bytes.")


class BothProcesses(Answer):
    """The server's process and the engines' together; `virtual` is the server's alone."""

    rss_bytes: int
    virtual_bytes: int
    rss_mb: int
    virtual_mb: int


class GpuMemory(Answer, MemoryShares):
    """The GPU that models run on; zeros where there is none."""

    available: bool
    name: str


class DeviceMemory(Answer):
    """A device that can compute; bytes are 0 where unknown."""

    name: str = Field(description="As the library calls it; the GPU of another engine than the home one has its name.")
    description: str
    backend: str
    free_bytes: int
    total_bytes: int
    is_gpu: bool


class ModelMemory(Answer):
    """A model that an engine holds."""

    name: str
    engine: str = Field(description="The engine's name in `GET /engines`.")
    bytes: int | None = Field(description="What it takes of the memory that models lie in; null where not known.")


class Memory(Answer):
    """Bytes held by whom. The engines' and the devices' are a few seconds old."""

    server: ProcessMemory
    engine: ProcessMemory
    system: SystemMemory
    process: BothProcesses
    gpu: GpuMemory
    devices: list[DeviceMemory]
    models: list[ModelMemory]


class Health(Answer):
    """How the server is. Always 200 while it runs."""

    status: Literal["ok", "degraded"]
    model_loaded: bool
    model_loading: bool
    loading_model_name: str | None
    loading_step: int | None = Field(description="How far the load is, of loading_total_steps; null where unknown.")
    loading_total_steps: int | None
    last_error: str | None = Field(description="Why the last load failed; null once one has succeeded.")
    database_note: str | None = Field(
        description="What is wrong with the database, or what became of a damaged one; null while all is well."
    )
    model_name: str | None
    model_type: ModelKind | None
    model_architecture: str | None = Field(examples=["Z-Image"])
    loaded_components: LoadedComponents
    load_options: dict[str, Any] = Field(
        description="With which options of `POST /models/load` it was loaded; empty without a model."
    )
    supports_image_generation: bool = Field(description="Whether the loaded model draws pictures.")
    supports_video_generation: bool = Field(description="Whether the loaded model makes videos.")
    upscaler_loaded: bool
    upscaler_name: str | None
    selected_model_name: str | None = Field(description="What new jobs will be drawn with.")
    version: str
    git_commit: str = Field(description="Of stable-diffusion.cpp, as the engine says; empty before it has.")
    ws_enabled: bool = Field(description="Whether there is a WebSocket at `/ws`.")
    features: Features
    memory: Memory
    engine: EngineShown
    engines: EngineCounts
    kept_models: list[str] = Field(description="Names of the models that any engine holds.")


class QuantizationTypeShown(Answer):
    """A type that weights can be converted to."""

    id: str = Field(examples=["q8_0"])
    name: str = Field(examples=["Q8_0 (8-bit)"])
    bits: int = Field(description="As in its name.")
    bits_per_weight: float = Field(description="With its share of the scales.", examples=[8.5])


class Options(Answer):
    """The words that the engine's library understands."""

    samplers: list[str]
    schedulers: list[str]
    quantization_types: list[QuantizationTypeShown]


def _leads_to_page(page: WebPage, accept: str) -> bool:
    return prefers_html(accept) and page.is_built


@system.get("/")
@needs("read")
@documents({200: (Index, HTML), 302: HTML})
@open_when(_leads_to_page)
def index() -> Response:
    """Find your way. Links for programs; browsers are sent to the web page, or get a small one where there is none."""
    if _leads_to_page(runtime().page, request.headers.get("Accept", "")):
        headers = {"Location": url_path("/ui/"), "Cache-Control": "no-store", "Vary": "Accept"}
        return Response(status=302, headers=headers, mimetype=HTML)
    version = runtime().version
    links = {**_LINKS, **{name: f"/docs/{name}.md" for name in page_files()}}
    if not prefers_html(request.headers.get("Accept", "")):
        shown = {name: url_path(path) for name, path in links.items()}
        return answer({"name": "sdcpp-rest", "version": version, "links": shown})
    health = runtime().status.health()
    loading = health["loading_model_name"]
    model = health["model_name"] or (f"loading {loading}" if loading else "none")
    page = _PAGE.format(
        version=version,
        status=health["status"],
        model=model,
        engine=health["engine"]["state"],
        links=Markup(" &middot; ").join(_LINK.format(url=page_link(path), name=name) for name, path in links.items()),
    )
    return Response(str(page), mimetype="text/html")


@system.get("/health")
@needs("read")
@documents({200: (Health, HealthWithoutKey)})
def health() -> Response:
    """Ask how the server is. Always 200 while it runs; a caller without a key, where keys are configured, learns no
    more than that."""
    if not is_known_caller():
        return answer({"status": "ok"})
    return answer(runtime().status.health())


@system.get("/options")
@needs("read")
@documents({200: Options})
def options() -> Response:
    """List samplers, schedulers and quantization types. As the engine named them when it last started; also while it is
    down."""
    return answer(runtime().status.options())


@system.get("/memory")
@needs("read")
@documents({200: Memory})
def memory() -> Response:
    """Tell who holds how much memory. Never waits for the engine."""
    return answer(runtime().status.memory())


@system.get("/metrics")
@needs("read")
@documents({200: "text/plain"})
def metrics() -> Response:
    """Tell Prometheus. Counters are those of this process, since it started."""
    return Response(runtime().metrics.text(), content_type=METRICS_TYPE)


@system.get("/favicon.ico")
@needs("read")
@documents({204: ()})
def favicon() -> Response:
    """Have no icon. Browsers ask for one."""
    return Response(status=204)
