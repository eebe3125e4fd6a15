"""Defines every message that crosses the wall between the server and the engine process, and nothing else.

Frozen records with a ``type`` literal, sent as JSON bytes over a pipe: never pickled, never on stdout (the library
prints there), never pixels (paths of spool files instead). Commands go down, events come up.
"""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.job import Failure, JobKind, Phase
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import Params

PROTOCOL_VERSION = 5


# --- commands: server -> engine -------------------------------------------------------------------------------------


class PreviewSettings(Frozen):
    """``interval`` in steps, ``max_size`` in pixels of the longer side, ``quality`` of the JPEG (1..100)."""

    enabled: bool = True
    mode: Literal["none", "proj", "tae", "vae"] = "proj"
    interval: int = 1
    max_size: int = 256
    quality: int = 75


class LoadModel(Frozen):
    """Free the models whose keys (`LoadSpec.key`) are in ``free``, then load ``spec``; all others stay loaded, and one
    of the same key is replaced. Answered by Loading*, then Loaded or LoadFailed."""

    type: Literal["load_model"] = "load_model"
    spec: LoadSpec
    free: tuple[str, ...] = ()


class UnloadModel(Frozen):
    """Free the models of these keys, ``None``: all. Answered by Unloaded, also when none of them was loaded."""

    type: Literal["unload_model"] = "unload_model"
    keys: tuple[str, ...] | None = None


class LoadUpscaler(Frozen):
    """Free the upscaler that is loaded, then load ``spec``. Answered by UpscalerReady or LoadFailed."""

    type: Literal["load_upscaler"] = "load_upscaler"
    spec: UpscalerSpec


class UnloadUpscaler(Frozen):
    """Answered by Unloaded, also when nothing was loaded."""

    type: Literal["unload_upscaler"] = "unload_upscaler"


class RunJob(Frozen):
    """Compute one job. ``run`` numbers the attempt: a cancel names the number, so a late one cannot hit the next job.

    ``model_key`` names the loaded model that computes it; ``None``: it needs none.
    ``inputs`` maps a role to an absolute PNG path whose picture is already of the size the library wants;
    ``captions`` holds the text written into picture k's file (A1111's ``parameters``); files are written to ``spool``.
    The class of ``params`` follows from ``kind``: each class forbids fields of the others, so that JSON tells them
    apart.
    """

    type: Literal["run_job"] = "run_job"
    run: int
    job_id: str
    kind: JobKind
    params: Params
    model_key: str | None = None
    inputs: dict[str, str] = Field(default_factory=dict)
    spool: str
    captions: tuple[str, ...] = ()


class CancelJob(Frozen):
    type: Literal["cancel_job"] = "cancel_job"
    run: int


class SetPreview(Frozen):
    type: Literal["set_preview"] = "set_preview"
    settings: PreviewSettings


class TellMemory(Frozen):
    """Somebody looks. Answered by Memory, also while the engine computes; some drivers take milliseconds for it."""

    type: Literal["tell_memory"] = "tell_memory"


class WatchPreviews(Frozen):
    """Whether somebody sees previews: else none is made a file. Who begins to watch is shown the newest one at once."""

    type: Literal["watch_previews"] = "watch_previews"
    is_watched: bool


class Shutdown(Frozen):
    type: Literal["shutdown"] = "shutdown"


Command = (
    LoadModel | UnloadModel | LoadUpscaler | UnloadUpscaler | RunJob | CancelJob | SetPreview | WatchPreviews
    | TellMemory | Shutdown
)  # fmt: skip


# --- events: engine -> server ---------------------------------------------------------------------------------------


class Device(Frozen):
    """A compute device as ggml lists it; memory in bytes, 0 where unknown."""

    name: str
    description: str
    backend: str
    free_bytes: int = 0
    total_bytes: int = 0
    is_gpu: bool = False


class QuantizationType(Frozen):
    """A weight type that can be written. ``bits`` as in its name; ``bits_per_weight`` with its share of the scales."""

    id: str
    name: str
    bits: int
    bits_per_weight: float


class Ready(Frozen):
    """The first message of an engine: facts that only it knows, and that the server then trusts.

    ``backend`` is the one that models run on, ``backends`` are those that the library was built with.
    ``library_path`` names its own file, which holds the vocabularies of text encoders; empty where there is no library.
    ``modules`` are the files that were chosen beside it when it started; none where all is in that file.
    """

    type: Literal["ready"] = "ready"
    protocol: int = PROTOCOL_VERSION
    pid: int
    library_version: str
    library_commit: str = ""
    library_path: str = ""
    modules: tuple[str, ...] = ()
    backend: str = "CPU"
    backends: tuple[str, ...] = ("CPU",)
    features: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    samplers: tuple[str, ...] = ()
    schedulers: tuple[str, ...] = ()
    quantization_types: tuple[QuantizationType, ...] = ()
    guard_available: bool = True


def gpu_backend(ready: Ready | None) -> str | None:
    """The backend of the GPU that models run on; ``None`` where they run on the CPU, and while no engine has said."""
    if ready is None or not any(device.is_gpu for device in ready.devices):
        return None
    return ready.backend


class Loading(Frozen):
    type: Literal["loading"] = "loading"
    progress: float | None = None


class Loaded(Frozen):
    """``architecture`` is the library's own verdict on the file. ``held_bytes``: what the load took, of the GPUs'
    memory or, where there is none, of the process's; 0 where that is not known."""

    type: Literal["loaded"] = "loaded"
    key: str
    architecture: str | None = None
    supports_images: bool = True
    supports_video: bool = False
    seconds: float = 0.0
    held_bytes: int = 0


class UpscalerReady(Frozen):
    """``factor``: how many times wider and higher a picture becomes; decided by the file."""

    type: Literal["upscaler_ready"] = "upscaler_ready"
    factor: int
    seconds: float = 0.0


class LoadFailed(Frozen):
    """``is_broken``: the engine wants to be replaced, as in `Failed`."""

    type: Literal["load_failed"] = "load_failed"
    message: str
    code: str = "load_failed"
    is_broken: bool = False


class Unloaded(Frozen):
    type: Literal["unloaded"] = "unloaded"


class Started(Frozen):
    type: Literal["started"] = "started"
    run: int


class Step(Frozen):
    """Sampling progress of one picture, or (``step`` and ``total_steps`` of 0) just a change of phase."""

    type: Literal["step"] = "step"
    run: int
    step: int
    total_steps: int
    image: int = 0
    phase: Phase = "sampling"


class Preview(Frozen):
    """A preview lies at ``path`` (JPEG in the run's spool folder; each one replaces the last). Empty: there is one, but
    nobody watches; it becomes a file with `WatchPreviews`."""

    type: Literal["preview"] = "preview"
    run: int
    step: int
    frame_count: int
    width: int
    height: int
    is_noisy: bool
    path: str


class Computed(Frozen):
    """The library call is over and the raw pixels are safe in the spool: the engine is free for the next run.

    With ``failure`` the run failed, and what it made is kept for people to look at.
    """

    type: Literal["computed"] = "computed"
    run: int
    images: int
    native_seconds: float
    warnings: tuple[str, ...] = ()
    failure: Failure | None = None


class Finished(Frozen):
    """The run's files are encoded: names inside the spool folder, in order."""

    type: Literal["finished"] = "finished"
    run: int
    files: tuple[str, ...]
    encode_seconds: float


class Failed(Frozen):
    """The run failed and the engine lives. ``is_broken``: only to write what it has drawn before; what it computes on
    is lost, and nothing is to be sent to it but a shutdown."""

    type: Literal["failed"] = "failed"
    run: int
    code: str
    message: str
    is_broken: bool = False


class Cancelled(Frozen):
    type: Literal["cancelled"] = "cancelled"
    run: int


class ThreadsUsed(Frozen):
    """CPU threads that runs are computed with: ``chosen`` of ``most``, and ``why`` in a sentence."""

    chosen: int
    most: int
    why: str


class Memory(Frozen):
    """The answer to `TellMemory`; bytes. ``threads`` is ``None`` where nothing computes on the CPU."""

    type: Literal["memory"] = "memory"
    rss_bytes: int
    devices: tuple[Device, ...] = ()
    threads: ThreadsUsed | None = None


class Stopped(Frozen):
    type: Literal["stopped"] = "stopped"


EngineEvent = (
    Ready | Loading | Loaded | UpscalerReady | LoadFailed | Unloaded | Started | Step | Preview | Computed | Finished
    | Failed | Cancelled | Memory | Stopped
)  # fmt: skip


@functools.cache
def _commands() -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[Command, Field(discriminator="type")])


@functools.cache
def _events() -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[EngineEvent, Field(discriminator="type")])


def encode(message: Frozen) -> bytes:
    """One message as JSON bytes."""
    return message.model_dump_json().encode()


def decode_command(raw: bytes) -> Command:
    """Raises pydantic.ValidationError for anything that is not one of the commands above."""
    command: Command = _commands().validate_json(raw)
    return command


def decode_event(raw: bytes) -> EngineEvent:
    """Raises pydantic.ValidationError for anything that is not one of the events above."""
    event: EngineEvent = _events().validate_json(raw)
    return event
