"""Types the words of the wire about model files: what is in them, uploads and downloads.

Made by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import NotRequired, Required, TypedDict

from sdcpp_rest.client.wire.models import ModelShown, ModelsShown, SidesShown


class AdviceShown(TypedDict):
    """An option that would take less memory; where there is enough, one that would be quicker."""

    option: str
    value: bool | float | str
    saves_bytes: int
    text: str


class BuffersShown(TypedDict):
    """Bytes of what is computed in; one of them is held at a time."""

    text_encoders: NotRequired[int]
    diffusion_model: NotRequired[int]
    vae: NotRequired[int]
    peak: int


class BundleFileShown(TypedDict):
    """One file of a bundle, in the fields of `POST /models/download`."""

    model_type: Literal[
        "checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "esrgan", "taesd", "embedding"
    ]
    repo_id: str
    filename: str
    name: NotRequired[str]
    component: str | None


class BundleShown(TypedDict):
    """A model with everything that it needs."""

    id: str
    display_name: str
    description: str
    preset: str
    sizes: list[BundleSizeShown]


class BundleSizeShown(TypedDict):
    """The files that run on a device with so much memory."""

    memory_gb: int
    note: str
    checked: bool
    load_options: dict[str, Any]
    files: list[BundleFileShown]


class CivitaiShown(TypedDict):
    """What CivitAI says about one file of a model."""

    success: Literal[True]
    model_id: str
    version_id: str
    name: str
    version_name: str
    type: str
    base_model: str
    filename: str
    file_size: int | None
    sha256: str | None
    download_url: str


class ConfirmQuery(TypedDict, total=False):
    """The query of `DELETE /models/{model_type}/{model_name}`."""

    confirm: str


class DeviceFitShown(TypedDict):
    """Whether it fits one device. A processor's memory is the system's."""

    name: str
    description: str
    is_gpu: bool
    free_bytes: int
    total_bytes: int
    needed_bytes: int
    verdict: Literal["fits", "tight", "no"]
    advice: list[AdviceShown]


class DownloadAccepted(TypedDict):
    """Two jobs in the queue: the download, and the one that checks what was downloaded."""

    success: Literal[True]
    download_job_id: str
    hash_job_id: str
    source: Literal["url", "civitai", "huggingface"]
    model_type: Literal[
        "checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "esrgan", "taesd", "embedding"
    ]
    position: int
    job_id: str
    model_name: str
    file_size: NotRequired[int]
    sha256: NotRequired[str]
    warnings: NotRequired[list[str]]


class DownloadBody(TypedDict, total=False):
    """What to download, and where to. One of `url`, `model_id` and `repo_id` says from where."""

    model_type: Required[str]
    source: Literal["url", "civitai", "huggingface"]
    url: str
    model_id: str
    repo_id: str
    filename: str
    revision: str
    subfolder: str
    name: str
    overwrite: bool
    title: str


class FitQuery(TypedDict, total=False):
    """The query of `GET /models/{model_type}/{model_name}/fit`."""

    width: int
    height: int
    batch_count: int
    video_frames: int
    component: list[str]
    weight_type: str


class FitShown(TypedDict):
    """An estimate; what a driver takes for the engine's process is not free any more, and not in it."""

    model_name: str
    model_architecture: str | None
    width: int
    height: int
    batch_count: int
    video_frames: int
    weights: WeightsShown
    compute: BuffersShown
    total_bytes: int
    devices: list[DeviceFitShown]
    warnings: list[str]


class HuggingFaceQuery(TypedDict, total=False):
    """The query of `GET /models/huggingface`."""

    repo_id: str
    filename: str
    revision: str


class HuggingFaceShown(TypedDict):
    """What Hugging Face says about one file of a repository."""

    success: Literal[True]
    repo_id: str
    filename: str
    revision: str
    file_size: int | None
    download_url: str
    sha256: str | None
    commit: str | None
    licence: str


class InspectedShown(TypedDict):
    """What a model file's header says; nothing of its weights is read."""

    model_name: str
    model_type: Literal[
        "checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "esrgan", "taesd", "embedding"
    ]
    format: Literal["gguf", "safetensors", "torch"]
    contents: str
    model_architecture: str | None
    architecture_id: str | None
    preset: str | None
    size_bytes: int
    parts: int
    parameter_count: int
    tensor_count: int
    quantization: list[QuantizationShown]
    metadata: dict[str, str | int | float | bool]
    trained_words: list[str]
    sidecar: SidecarShown | None
    fit: FitShown | None
    warnings: list[str]


class ModelBody(TypedDict, total=False):
    """What is to be otherwise; what is not given stays."""

    name: str
    folder: str
    type: str


class ModelDeleted(TypedDict):
    """It is gone, with all that lay beside it."""

    success: Literal[True]
    message: str
    model_name: str
    model_type: Literal[
        "checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "esrgan", "taesd", "embedding"
    ]
    warnings: NotRequired[list[str]]


class ModelMoved(TypedDict):
    """Where it is now."""

    success: Literal[True]
    message: str
    model: ModelShown
    previous_name: str
    previous_type: Literal[
        "checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "esrgan", "taesd", "embedding"
    ]
    warnings: NotRequired[list[str]]


class ModelPaths(TypedDict):
    """The folder of each type."""

    checkpoints: str
    diffusion_models: str
    vae: str
    lora: str
    clip: str
    t5: str
    embeddings: str
    controlnet: str
    llm: str
    esrgan: str
    taesd: str
    extra: NotRequired[dict[str, list[str]]]


class QuantizationShown(TypedDict):
    """The tensors of one number format."""

    type: str
    tensors: int
    bytes: int
    share: float


class RecommendedQuery(TypedDict, total=False):
    """The query of `GET /models/recommended`."""

    memory_gb: int
    checked: bool


class RecommendedShown(TypedDict):
    """Models to begin with. Sizes, hashes and licences are asked of the source when a file is downloaded."""

    bundles: list[BundleShown]


class Refreshed(TypedDict):
    """How many models there are now."""

    success: Literal[True]
    message: str
    counts: dict[str, int]
    total: int
    models: ModelsShown
    warnings: NotRequired[list[str]]


class SidecarShown(TypedDict):
    """What the file beside the model says, and what goes by its name."""

    display_name: str
    description: str
    licence: str
    components: dict[str, str]
    load_options: dict[str, Any]
    generation_defaults: dict[str, Any]
    recommended_sides: SidesShown | None


class UploadQuery(TypedDict, total=False):
    """Needed with a body of application/octet-stream; a form may bring them as its own fields."""

    type: str
    model_type: str
    name: str
    filename: str
    subfolder: str
    overwrite: bool


class UploadedShown(TypedDict):
    """A model file that is there now."""

    success: Literal[True]
    message: str
    model: ModelShown
    filename: str
    model_name: str
    model_type: Literal[
        "checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "esrgan", "taesd", "embedding"
    ]
    size_bytes: int
    full_path: str
    subfolder: NotRequired[str]
    is_listed: bool
    warnings: NotRequired[list[str]]


class WeightsShown(TypedDict):
    """Bytes, as the library holds them."""

    text_encoders: int
    diffusion_model: int
    vae: int
    controlnet: int
    total: int
