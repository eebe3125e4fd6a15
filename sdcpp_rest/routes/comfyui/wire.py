"""ComfyUI's bodies, queries and answers."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, RootModel

from sdcpp_rest.routes.comfyui.errors import ComfyNodeFaults
from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Text, Wire, optional

_EXAMPLE: dict[str, Any] = {
    "prompt": {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "demo_dit_q8_0.gguf"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red circle, blue background", "clip": ["1", 1]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["1", 1]}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "5": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0], "seed": 42,
                "steps": 12, "cfg": 2.5, "sampler_name": "euler", "scheduler": "normal", "denoise": 1,
            },
        },
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "ComfyUI"}},
    }
}  # fmt: skip


class ComfyPromptBody(Wire):
    """A graph to draw."""

    model_config = ConfigDict(**Wire.model_config, json_schema_extra={"examples": [_EXAMPLE]})

    prompt: dict[str, Any] = Field(description="Nodes by their ids, in the API's format.")
    prompt_id: Text = optional("The prompt's id; one is made where none is sent.")
    client_id: Text = optional("Whose WebSocket hears of it; where none is sent, everybody's.")
    extra_data: dict[str, Any] = optional("Kept with it; `extra_pnginfo.workflow` goes into the pictures.")
    front: Flag = optional("Draw it before everything that waits.")
    partial_execution_targets: list[str] = optional("Only these output nodes.")


class ComfyHistoryBody(Wire):
    """What to forget."""

    clear: Flag = optional("Everything.")
    delete: list[str] = optional("These prompts.")


class ComfyQueueBody(Wire):
    """What to take off the queue."""

    clear: Flag = optional("Everything that waits.")
    delete: list[str] = optional("These prompts, where they wait.")


class ComfyInterruptBody(Wire):
    """What to stop."""

    prompt_id: Text = optional("This prompt, if it runs; else whatever runs.")


class ComfyFreeBody(Wire):
    """What to free."""

    unload_models: Flag = optional("Unload the model; the next job loads it again.")
    free_memory: Flag = optional("The same.")


class ComfyHistoryQuery(Wire):
    """Which part of the history."""

    max_items: Integer = Field(
        64, ge=-1, le=10_000, description="The newest so many; -1: as many as are shown at most."
    )
    offset: Integer = Field(0, ge=-1, le=1_000_000, description="Leave out so many; -1: none.")


class ComfyViewQuery(Wire):
    """Which picture, and how."""

    filename: Text = Field(description="As it was told; `[output]` and the like behind it name its place.")
    subfolder: Text = Field("", description="As it was told.")
    type: Text = Field("output", description="output, temp or input.")
    preview: Text = optional("A smaller file: `webp;90` or `jpeg;80`.")
    channel: Text = Field("rgba", description="rgba, rgb or a.")


class ComfyUpload(Wire):
    """A picture to upload, as a form."""

    image: str = Field(description="The picture.", json_schema_extra={"format": "binary"})
    type: Text = Field("input", description="input or temp.")
    subfolder: Text = Field("", description="Below the folder of uploads.")
    overwrite: Text = Field("false", description="true or 1: in place of another one of its name.")


class ComfyMaskUpload(ComfyUpload):
    """A mask to lay over a picture, as a form: its transparency becomes that of the picture."""

    original_ref: Text = Field(description="The picture as JSON: `filename`, `subfolder`, `type`.")


class ComfyPromptPath(Wire):
    """Which prompt."""

    prompt_id: str = Field(description="As POST /prompt answered.")


class ComfyClassPath(Wire):
    """Which class of nodes."""

    node_class: str = Field(description="Its name.", examples=["KSampler"])


class ComfyFolderPath(Wire):
    """Which folder of models."""

    folder: str = Field(description="As GET /api/models lists them.", examples=["checkpoints"])


class ComfyQueued(Answer):
    """A prompt that was accepted."""

    prompt_id: str
    number: int
    node_errors: dict[str, ComfyNodeFaults]


class ComfyWaiting(Answer):
    """How much waits."""

    queue_remaining: int


class ComfyStatus(Answer):
    """How the queue stands."""

    exec_info: ComfyWaiting


class ComfyQueue(Answer):
    """The queue: number, id, graph, extra_data and output nodes of each prompt."""

    queue_running: list[list[Any]]
    queue_pending: list[list[Any]]


class ComfyStored(Answer):
    """Where an uploaded picture is."""

    name: str
    subfolder: str
    type: str


class ComfyNames(RootModel[list[str]]):
    """Names."""


class ComfyObject(RootModel[dict[str, Any]]):
    """An object whose names are not fixed: prompts by their ids, classes by their names."""
