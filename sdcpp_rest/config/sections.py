"""Defines the settings section by section: defaults, limits, descriptions, and the kinds of value they take.

Knows nothing of where values come from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
)

from sdcpp_rest.config.device_names import TextEncoders
from sdcpp_rest.errors import SdcppRestError

ENV_PREFIX = "SDCPP_REST__"
ENV_CONFIG_FILE = "SDCPP_REST_CONFIG"
CONFIG_FILE_NAME = "config.toml"

ModelType = Literal[
    "checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "esrgan", "taesd", "embedding"
]  # fmt: skip
TYPE_FOLDERS: Mapping[ModelType, str] = {
    "checkpoint": "checkpoints",
    "diffusion": "diffusion_models",
    "vae": "vae",
    "lora": "loras",
    "clip": "clip",
    "t5": "t5",
    "controlnet": "controlnet",
    "llm": "llm",
    "esrgan": "esrgan",
    "taesd": "taesd",
    "embedding": "embeddings",
}


class ConfigError(SdcppRestError):
    """A setting that cannot be used. One line per problem: the setting's full path, its value, what is allowed."""

    code = "invalid_config"


# --- values -----------------------------------------------------------------------------------------------------------


def refuse_bool(value: Any) -> Any:
    """Keeps truth values out of numbers. Raises ValueError."""
    if isinstance(value, bool):  # Python counts True as 1: a port of `true` would be port 1.
        raise ValueError("Input should be a number")
    return value


def absolute(path: Path) -> Path:
    """Absolute without following symlinks: a link that is moved to a bigger disk later keeps working."""
    if not str(path).strip() or "\0" in str(path):
        raise ValueError("Input should be the path of a folder")
    try:
        return Path(os.path.abspath(path.expanduser()))
    except RuntimeError:
        raise ValueError("Input should be a path; the home folder meant by ~ is not known") from None


def _not_empty(value: Any) -> Any:
    # Path("") is Path("."): an empty setting would quietly become the current folder.
    if isinstance(value, str) and not value.strip():
        raise ValueError("Input should be the path of a folder")
    return value


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str | Path) else value


def _folder_name(name: str) -> str:
    if not name.strip() or name in (".", "..") or any(character in name for character in "/\\\0"):
        raise ValueError("Input should be the name of a folder inside models_dir, without slashes")
    return name


Integer = Annotated[int, BeforeValidator(refuse_bool)]
Number = Annotated[float, BeforeValidator(refuse_bool)]
Folder = Annotated[Path, BeforeValidator(_not_empty), AfterValidator(absolute)]
FolderName = Annotated[str, AfterValidator(_folder_name)]


def _checkout() -> Path | None:
    """The folder of the source tree this package runs from, or None when it was installed."""
    folder = Path(__file__).resolve().parents[2]
    return folder if (folder / "pyproject.toml").is_file() and (folder / "Makefile").is_file() else None


def default_folder(in_checkout: str, installed: str) -> Path:
    checkout = _checkout()
    if checkout is not None:
        return checkout / in_checkout
    import platformdirs

    return platformdirs.user_data_path("sdcpp-rest", appauthor=False) / installed


# --- sections ---------------------------------------------------------------------------------------------------------


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, protected_namespaces=(),
        defer_build=True,
    )  # fmt: skip


class PathsConfig(Section):
    """Folders. `~` is your home folder; a relative path starts at the config file, elsewhere at the current folder."""

    data_dir: Folder = Field(
        default_factory=lambda: default_folder("data", "."),
        description="The database, input pictures and logs. Default: data/ of a checkout, else the user's data folder.",
        examples=["~/sdcpp-rest/data"],
    )
    models_dir: Folder = Field(
        default_factory=lambda: default_folder("models", "models"),
        description="Model files, one sub-folder per type. Default: models/ of a checkout, or of the user's data "
        "folder.",
        examples=["~/sdcpp-rest/models"],
    )
    extra_model_dirs: Annotated[tuple[Folder, ...], BeforeValidator(_as_list)] = Field(
        default=(),
        description="Model folders of other programs, which are only read: a folder of AUTOMATIC1111, Forge or ComfyUI "
        "(or its models folder, or one laid out as models_dir), or the path of an extra_model_paths.yaml. What has the "
        "name of a file in models_dir is not listed.",
        examples=[["~/ComfyUI", "~/stable-diffusion-webui", "~/ComfyUI/extra_model_paths.yaml"]],
    )
    output_dir: Folder = Field(
        default_factory=lambda: default_folder("output", "output"),
        description="Finished pictures. Default: output/ of a checkout, or of the user's data folder.",
        examples=["~/sdcpp-rest/output"],
    )
    log_dir: Folder = Field(
        default_factory=lambda fields: fields["data_dir"] / "logs",
        description="The server's and the engine's logs: server.log and engine.log. Default: logs/ inside data_dir.",
        examples=["~/sdcpp-rest/logs"],
    )
    webui_dir: Folder = Field(
        default_factory=lambda: Path(__file__).resolve().parents[1] / "webui_dist",
        description="The web page's files, as they were built: index.html and what it needs, served below /ui. "
        "Default: those of this installation, if it has any.",
        examples=["~/sdcpp-rest/webui"],
    )
    follow_links: bool = Field(
        default=True,
        description="Show and use model files behind symbolic links that lead out of models_dir (to another disk, a "
        "Hugging Face cache, another program's models). Requests cannot make links.",
    )


class ModelsConfig(Section):
    """Which models there are."""

    default: str = Field(
        default="",
        description="Model to select at the first start. Empty: the last one selected, else the bundled demo model.",
    )
    keep_clip_on_cpu: TextEncoders = True
    include_demo: bool = Field(default=True, description="Show the bundled demo model beside your own models.")
    type_folders: Mapping[ModelType, FolderName] = Field(
        default_factory=lambda: dict(TYPE_FOLDERS),
        description="The sub-folder of models_dir for each type of model; types that are left out keep their default.",
    )

    @field_validator("type_folders", mode="before")
    @classmethod
    def _fill_in(cls, folders: Any) -> Any:
        return {**TYPE_FOLDERS, **folders} if isinstance(folders, Mapping) else folders


class LimitsConfig(Section):
    """What one request may ask for; beyond it the answer is an error that names the limit."""

    steps: Integer = Field(default=10_000, ge=1, description="Sampling steps.")
    side: Integer = Field(default=4096, ge=64, description="Width and height, in pixels.")
    upscaled_side: Integer = Field(default=16_384, ge=64, description="Width and height after upscaling, in pixels.")
    batch: Integer = Field(default=64, ge=1, description="Pictures per job.")
    pending_jobs: Integer = Field(default=1000, ge=1, description="Jobs waiting in the queue.")
    body_bytes: Integer = Field(default=64 * 1024 * 1024, ge=1024, description="Size of a request body.")
    upload_bytes: Integer = Field(
        default=64 * 1024**3, ge=1024, description="Size of a model file sent to POST /models/upload."
    )
    prompt_characters: Integer = Field(
        default=16_000, ge=1, le=20_000, description="Length of a prompt. The library crashes somewhat above 20000."
    )
    pixel_steps: Integer = Field(
        default=200_000_000_000, ge=1, description="width x height x steps x batch (or frames) of one job."
    )
    video_frames: Integer = Field(default=1000, ge=1, description="Frames of a video.")
    video_pixels: Integer = Field(
        default=2_000_000_000,
        ge=1,
        description="width x height x frames of a video, which is held in memory whole: three bytes a pixel and more.",
    )


class PreviewConfig(Section):
    """Pictures of a job while it is computed: the values a new database starts with."""

    enabled: bool = Field(default=True, description="Make previews.")
    mode: Literal["none", "proj", "tae", "vae"] = Field(
        default="tae", description="How: proj (coarse), tae (proj if there is no TAESD model), vae (slow) or none."
    )
    interval: Integer = Field(default=1, ge=1, le=1000, description="A preview at most every so many steps.")
    max_size: Integer = Field(default=256, ge=16, le=4096, description="Longer side of a preview, in pixels.")
    quality: Integer = Field(default=75, ge=1, le=100, description="JPEG quality.")


class QueueConfig(Section):
    """The queue of jobs."""

    max_requeues: Integer = Field(
        default=2,
        ge=0,
        le=100,
        description="How often a job that was interrupted by a crash of the server is tried again.",
    )
    listed_finished: Integer = Field(
        default=200,
        ge=0,
        le=10_000,
        description="Finished jobs that a listing of the queue shows unless asked for more.",
    )
    abandoned_grace_seconds: Number = Field(
        default=15.0,
        ge=0,
        le=86_400,
        description="A caller that waits for its answer and hangs up may send the same request again for so long, and "
        "gets what was begun; then the work is cancelled. 0: cancelled at once.",
    )
    finish_abandoned: bool = Field(
        default=False,
        description="Finish the work of callers who have hung up; the answer waits for abandoned_grace_seconds.",
    )
    kept_answers_bytes: Integer = Field(
        default=512 * 1024 * 1024,
        ge=0,
        description="Size of all answers together that are kept for a day for requests with an Idempotency-Key; the "
        "oldest go first. Small ones do not count.",
    )

    affinity: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether an engine takes a job whose model it holds before an older one. auto: with several "
        "engines; one engine alone runs jobs in the order of their submission.",
    )
    affinity_patience_seconds: Number = Field(
        default=30.0,
        ge=0,
        le=86_400,
        description="With affinity: when the oldest job has waited so long, and the engine has worked for "
        "affinity_stay_seconds since it last loaded a model, the oldest job is next.",
    )
    affinity_stay_seconds: Number = Field(
        default=180.0, ge=0, le=86_400, description="With affinity: how long a load has to pay."
    )
    owner_share: Number = Field(
        default=1.0,
        gt=0,
        le=1,
        description="The part of all engines that the jobs of one API key's user may have while others wait; at least "
        "one engine.",
    )


class HousekeepingConfig(Section):
    """What happens by itself when nobody asks for anything. All of it is off at 0."""

    unload_after_idle_minutes: Number = Field(
        default=0.0,
        ge=0,
        le=10_080,
        description="Free the model when it was not used for so long; the next job loads it.",
    )
    keep_jobs_days: Number = Field(
        default=0.0,
        ge=0,
        description="Remove finished jobs older than this, with their pictures. The newest one stays.",
    )
    keep_jobs_count: Integer = Field(
        default=0,
        ge=0,
        description="Remove the oldest finished jobs, with their pictures, when there are more than this.",
    )
    backup_hours: Number = Field(
        default=6.0,
        ge=0,
        description="Copy the database when the newest copy is so old. Three are kept, in backups in paths.data_dir.",
    )


class ApiConfig(Section):
    """How requests are read."""

    strict: bool = Field(
        default=False, description="Refuse unknown fields in native requests instead of warning of them."
    )


class EventsConfig(Section):
    """Events over WebSockets."""

    heartbeat_seconds: Number = Field(default=5.0, gt=0, description="How often server_status is sent.")
