"""What AUTOMATIC1111's API answers, as its clients read it."""

from __future__ import annotations

from typing import Any

from pydantic import Field, RootModel

from sdcpp_rest.routes.http.openapi import Answer


class A1111Null(RootModel[None]):
    """Done; there is nothing to say."""


class A1111Empty(Answer):
    """Done; there is nothing to say."""


class A1111Pictures(Answer):
    """Pictures, the request as it was read, and what there is to know about the pictures."""

    images: list[str] = Field(description="Base64, without `data:`.")
    parameters: dict[str, Any]
    info: str = Field(description="A JSON object as text: seeds, prompts, `infotexts`.")


class A1111Extra(Answer):
    """One picture, larger."""

    html_info: str
    image: str = Field(description="Base64, without `data:`.")


class A1111ExtrasMade(Answer):
    """Pictures, larger."""

    html_info: str
    images: list[str] = Field(description="Base64, without `data:`.")


class A1111PngText(Answer):
    """What a picture's file says."""

    info: str = Field(description="How it was made, as text; empty when it does not say.")
    items: dict[str, str] = Field(description="Its other texts.")
    parameters: dict[str, Any] = Field(description="That text, key by key, and what is taken for granted.")


class A1111State(Answer):
    """Where the work stands."""

    skipped: bool
    interrupted: bool
    stopping_generation: bool
    job: str = Field(description="Empty when there is none.")
    job_count: int
    job_timestamp: str
    job_no: int
    sampling_step: int
    sampling_steps: int


class A1111Progress(Answer):
    """How far the caller's work has come; all zero when there is none."""

    progress: float = Field(ge=0, le=1)
    eta_relative: float = Field(description="Seconds to go.")
    state: A1111State
    current_image: str | None = Field(description="Preview, base64.")
    textinfo: str | None


class A1111CallProgress(Answer):
    """How far one call has come."""

    active: bool
    queued: bool
    paused: bool
    completed: bool
    progress: float | None
    eta: float | None
    live_preview: str | None = Field(description="A data URL.")
    id_live_preview: int
    textinfo: str | None


class A1111Waiting(Answer):
    """The calls that wait."""

    size: int
    tasks: list[str]


class A1111Caption(Answer):
    """What a picture shows, in words."""

    caption: str


class A1111Dict(RootModel[dict[str, Any]]):
    """Values by name."""


class A1111Sampler(Answer):
    name: str
    aliases: list[str]
    options: dict[str, str]


class A1111Samplers(RootModel[list[A1111Sampler]]):
    """The samplers."""


class A1111Scheduler(Answer):
    name: str
    label: str
    aliases: list[str] | None
    default_rho: float
    need_inner_model: bool


class A1111Schedulers(RootModel[list[A1111Scheduler]]):
    """The schedules."""


class A1111Upscaler(Answer):
    name: str
    model_name: str | None
    model_path: str | None
    model_url: str | None
    scale: float | None


class A1111Upscalers(RootModel[list[A1111Upscaler]]):
    """The upscalers; the first does nothing."""


class A1111Named(Answer):
    name: str


class A1111Modes(RootModel[list[A1111Named]]):
    """Ways to enlarge before decoding."""


class A1111Model(Answer):
    title: str = Field(description="What the option sd_model_checkpoint shows when it is chosen.")
    model_name: str
    hash: str | None
    sha256: str | None
    filename: str
    config: str | None


class A1111Models(RootModel[list[A1111Model]]):
    """The models."""


class A1111Vae(Answer):
    model_name: str
    filename: str


class A1111Vaes(RootModel[list[A1111Vae]]):
    """The autoencoders."""


class A1111Path(Answer):
    name: str
    path: str | None


class A1111Paths(RootModel[list[A1111Path]]):
    """Files by name."""


class A1111FaceRestorer(Answer):
    name: str
    cmd_dir: str | None


class A1111FaceRestorers(RootModel[list[A1111FaceRestorer]]):
    """What restores faces: nothing does here."""


class A1111RealEsrgan(Answer):
    name: str
    path: str | None
    scale: int | None


class A1111RealEsrgans(RootModel[list[A1111RealEsrgan]]):
    """The upscalers that are models."""


class A1111Style(Answer):
    name: str
    prompt: str | None
    negative_prompt: str | None


class A1111Styles(RootModel[list[A1111Style]]):
    """The prompt styles."""


class A1111Embedding(Answer):
    step: int | None
    sd_checkpoint: str | None
    sd_checkpoint_name: str | None
    shape: int
    vectors: int


class A1111Embeddings(Answer):
    """The embeddings that prompts may name."""

    loaded: dict[str, A1111Embedding]
    skipped: dict[str, A1111Embedding]


class A1111Lora(Answer):
    name: str
    alias: str
    path: str
    metadata: dict[str, Any]


class A1111Loras(RootModel[list[A1111Lora]]):
    """The LoRAs."""


class A1111Memory(Answer):
    """Bytes of memory; where nobody knows, an `error` inside."""

    ram: dict[str, Any]
    cuda: dict[str, Any]


class A1111Scripts(Answer):
    """The scripts there are, by the kind of call that can name them."""

    txt2img: list[str]
    img2img: list[str]


class A1111ScriptArgument(Answer):
    """One place of a script's `script_args`."""

    label: str
    value: Any = Field(description="What it is unless somebody says otherwise.")
    minimum: float | None
    maximum: float | None
    step: float | None
    choices: list[str] | None


class A1111ScriptFact(Answer):
    """A script and its arguments in order."""

    name: str
    is_alwayson: bool
    is_img2img: bool
    args: list[A1111ScriptArgument]


class A1111ScriptFacts(RootModel[list[A1111ScriptFact]]):
    """The scripts."""


class A1111NoItems(RootModel[list[dict[str, Any]]]):
    """A list that is always empty."""


class A1111Created(Answer):
    """What came of a training."""

    info: str
