"""Types the words of the wire about the server, its options and its output folder.

Made by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from typing_extensions import NotRequired, TypedDict

from sdcpp_rest.client.wire.jobs import JobShown
from sdcpp_rest.client.wire.models import PresetShown
from sdcpp_rest.client.wire.settings import Preferences, PreviewShown

Error: TypeAlias = dict[str, Any]


class Bootstrap(TypedDict):
    """The server as it is now. Whoever listens to `/ws?since=SEQ&epoch=EPOCH` with these two misses nothing that comes
    after."""

    seq: int
    epoch: str
    session: SessionShown
    versions: Versions
    health: Health
    queue: QueueCounts
    running: list[JobShown]
    options: GenerationOptions
    current_architecture: str | None
    current_preset: PresetShown | None
    models: ModelNames
    models_left_out: dict[str, int]
    upscalers: list[str]
    preferences: Preferences
    preview: PreviewShown
    limits: dict[str, int]


class BothProcesses(TypedDict):
    """The server's process and the engines' together; `virtual` is the server's alone."""

    rss_bytes: int
    virtual_bytes: int
    rss_mb: int
    virtual_mb: int


class DeviceMemory(TypedDict):
    """A device that can compute; bytes are 0 where unknown."""

    name: str
    description: str
    backend: str
    free_bytes: int
    total_bytes: int
    is_gpu: bool


class EngineCounts(TypedDict):
    """All engines; `GET /engines` shows them."""

    count: int
    available: int


class EngineShown(TypedDict):
    """The process that computes; with several, the home engine's."""

    pid: int | None
    state: Literal["starting", "idle", "loading", "running", "dead", "stopped", "none"]
    backend: str | None
    restarts: int
    library_version: str | None


class EntryShown(TypedDict):
    """A file or a folder."""

    name: str
    kind: Literal["folder", "image", "video", "text", "file"]
    url: str
    size_bytes: NotRequired[int]
    version: NotRequired[str]
    modified_at: str
    title: NotRequired[str]
    thumb_url: NotRequired[str]


class Features(TypedDict):
    """What there is here, for user interfaces that show only that."""

    auth_required: bool
    auto_unload: bool
    controlnet_hotswap: bool
    experimental_offload: bool
    unified_streaming: bool
    sefi_image: bool
    ip_adapter: bool
    ip_adapter_plus: bool
    adetailer: bool
    mcp: bool


class GenerationOptions(TypedDict):
    """The fields of `POST /txt2img`, `/img2img`, `/txt2vid` and `/upscale`, and the names that some of them take."""

    options: dict[str, OptionShown]
    samplers: list[str]
    schedulers: list[str]


class Health(TypedDict):
    """How the server is. Always 200 while it runs."""

    status: Literal["ok", "degraded"]
    model_loaded: bool
    model_loading: bool
    loading_model_name: str | None
    loading_step: int | None
    loading_total_steps: int | None
    last_error: str | None
    database_note: str | None
    model_name: str | None
    model_type: Literal["checkpoint", "diffusion"] | None
    model_architecture: str | None
    loaded_components: LoadedComponents
    load_options: dict[str, Any]
    supports_image_generation: bool
    supports_video_generation: bool
    upscaler_loaded: bool
    upscaler_name: str | None
    selected_model_name: str | None
    version: str
    git_commit: str
    ws_enabled: bool
    features: Features
    memory: Memory
    engine: EngineShown
    engines: EngineCounts
    kept_models: list[str]


class HealthWithoutKey(TypedDict):
    """What a caller without a key learns, where keys are configured."""

    status: Literal["ok", "degraded"]


class Index(TypedDict):
    """The answer of `GET /`."""

    name: str
    version: str
    links: dict[str, str]


class Listing(TypedDict):
    """A part of a folder."""

    path: str
    sort: Literal["name", "size", "date"]
    order: Literal["asc", "desc"]
    page: int
    pages: int
    limit: int
    folder_count: int
    file_count: int
    total_bytes: int
    entries: list[EntryShown]


class LoadOptions(TypedDict):
    """The options of `POST /models/load`, and a sentence about each sampler and scheduler."""

    options: dict[str, OptionShown]
    samplers: dict[str, str]
    schedulers: dict[str, str]


class LoadedComponents(TypedDict):
    """The components loaded with the model; nothing at all without one."""

    vae: NotRequired[str | None]
    clip_l: NotRequired[str | None]
    clip_g: NotRequired[str | None]
    t5xxl: NotRequired[str | None]
    controlnet: NotRequired[str | None]
    llm: NotRequired[str | None]
    llm_vision: NotRequired[str | None]


class LoggedIn(TypedDict):
    """Everything is open to the cookie that came with this, and to the token."""

    success: Literal[True]
    auth_required: bool
    token: str | None
    token_type: Literal["bearer"]
    expires_in: int | None
    username: str


class LoggedOut(TypedDict):
    """The answer of `POST /auth/logout`."""

    success: Literal[True]
    warnings: NotRequired[list[str]]


class LoginBody(TypedDict, total=False):
    """Who wants in: a user with a key, or a key alone."""

    username: str
    password: str
    key: str
    redirect: str


class LoginQuery(TypedDict, total=False):
    """The query of `GET /login`."""

    redirect: str
    failed: str


class Memory(TypedDict):
    """Bytes held by whom. The engines' and the devices' are a few seconds old."""

    server: ProcessMemory
    engine: ProcessMemory
    system: SystemMemory
    process: BothProcesses
    gpu: GpuMemory
    devices: list[DeviceMemory]
    models: list[ModelMemory]


class MemoryShares(TypedDict):
    """How much of a memory is used; MB are of 1024 x 1024 bytes."""

    total_bytes: int
    used_bytes: int
    free_bytes: int
    total_mb: int
    used_mb: int
    free_mb: int
    usage_percent: float


class ModelMemory(TypedDict):
    """A model that an engine holds."""

    name: str
    engine: str
    bytes: int | None


class ModelNames(TypedDict):
    """Names of model files, as `GET /models` has them."""

    checkpoints: list[str]
    diffusion_models: list[str]
    vae: list[str]
    loras: list[str]
    clip: list[str]
    t5: list[str]
    controlnets: list[str]
    llm: list[str]
    esrgan: list[str]
    taesd: list[str]
    embeddings: list[str]


class OptionShown(TypedDict):
    """A field of a request."""

    label: str
    description: str
    type: Literal["boolean", "number", "string", "select", "array", "object"]
    required: bool
    default: NotRequired[Any]
    mode_defaults: NotRequired[dict[str, Any]]
    minimum: NotRequired[float]
    maximum: NotRequired[float]
    integer: NotRequired[bool]
    values: NotRequired[dict[str, str]]
    modes: NotRequired[list[str]]
    no_effect: NotRequired[str]


class Options(TypedDict):
    """The words that the engine's library understands."""

    samplers: list[str]
    schedulers: list[str]
    quantization_types: list[QuantizationTypeShown]


class OutputQuery(TypedDict, total=False):
    """The query of `GET /output/{path}`."""

    sort: Literal["name", "size", "date"]
    order: Literal["asc", "desc"]
    page: int
    limit: int
    v: str


class ProcessMemory(TypedDict):
    """A part of `Memory`."""

    rss_bytes: int | None


class QuantizationTypeShown(TypedDict):
    """A type that weights can be converted to."""

    id: str
    name: str
    bits: int
    bits_per_weight: float


class QueueCounts(TypedDict):
    """How many jobs there are, by status."""

    pending_count: int
    processing_count: int
    completed_count: int
    failed_count: int
    cancelled_count: int
    total_count: int
    paused: bool


class Removed(TypedDict):
    """What is gone."""

    success: Literal[True]
    path: str


class SessionBody(TypedDict, total=False):
    """The body of `POST /session`."""

    key: str
    username: str


class SessionShown(TypedDict):
    """Whether one has to sign in here, and has."""

    auth_required: bool
    signed_in: bool


class ThumbQuery(TypedDict, total=False):
    """The query of `GET /thumb/{path}`."""

    size: Literal["120", "256", "512", "1024"]
    fit: Literal["cover", "inside"]
    v: str


class Versions(TypedDict):
    """A part of `Bootstrap`."""

    server: str
    library: str | None
    library_commit: str


class GpuMemory(MemoryShares):
    """The GPU that models run on; zeros where there is none."""

    available: bool
    name: str


class SessionOpened(SessionShown):
    """What the cookie that came with this opens."""

    expires_in: int | None
    warnings: NotRequired[list[str]]


class SystemMemory(MemoryShares):
    """The machine's main memory."""

    available_bytes: int
