"""Ollama's bodies and answers, as far as pictures go."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.routes.http.mirrored_fields import mirror
from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Number, Text, Wire, optional

_OWN = "0, or left out: the model's own."


class OllamaGenerateBody(Wire):
    """What to draw. `options` may hold `seed` and the fields beyond Ollama's API, too."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "demo_dit_q8_0",
                    "prompt": "a red circle on a blue background",
                    "width": 64,
                    "height": 64,
                    "steps": 12,
                    "stream": False,
                }
            ]
        }
    )

    model: Text = Field("", max_length=1000, description="A model of this server, by any of its names.")
    prompt: Text = mirror(ImageParams, "prompt", "What the picture shows. Empty: the model is loaded.", default="")
    stream: Flag = Field(True, description="A line of JSON for each step, and one with the picture.")
    width: Integer = mirror(ImageParams, "width", f"In pixels. {_OWN}", default=None, ge=0)
    height: Integer = mirror(ImageParams, "height", f"In pixels. {_OWN}", default=None, ge=0)
    steps: Integer = mirror(ImageParams, "steps", f"Sampling steps. {_OWN}", default=None, ge=0)
    images: list[Text] = Field(
        [], max_length=16, description="Pictures to edit, base64; more than one for models that look at several."
    )
    options: dict[str, Any] = Field({}, description="`seed`; what is for language models says nothing here.")
    keep_alive: Any = Field(None, description="0, with an empty prompt: the model is freed. Else it stays.")
    seed: Integer = mirror(ImageParams, "seed", "Beyond Ollama's API. -1: drawn.", default=-1)
    negative_prompt: Text = mirror(ImageParams, "negative_prompt", "Beyond Ollama's API. What it must not show.")
    cfg_scale: Number = mirror(
        ImageParams, "cfg_scale", "Beyond Ollama's API. Left out: the model's own.", default=None
    )
    strength: Number = mirror(ImageParams, "strength", "Beyond Ollama's API. How much of a picture is drawn anew.")


class OllamaShowBody(Wire):
    """Which model to tell about."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "demo_dit_q8_0"}]})

    model: Text = Field("", description="A model of this server, by any of its names.")
    name: Text = optional("The same, as older clients call it.")
    verbose: Flag = optional("Says nothing here.")


class OllamaPicture(Answer):
    """A picture, or a step on the way to one (`done` is false)."""

    model: str
    created_at: str
    response: str
    done: bool
    done_reason: str = optional("`stop`, `load` or `unload`.")
    image: str = optional("The picture's PNG file, base64.")
    completed: int = optional("Steps that are done.")
    total: int = optional("All steps.")
    total_duration: int = optional("In nanoseconds.")
    load_duration: int = optional("In nanoseconds.")
    seed: int = optional("Beyond Ollama's API. What it takes to draw it again.")
    warnings: list[str] = optional("Beyond Ollama's API. What was ignored.")


class OllamaDetails(Answer):
    parent_model: str
    format: str
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class OllamaModel(Answer):
    name: str
    model: str
    modified_at: str
    size: int
    digest: str = Field(description="The file's SHA-256, where it was computed.")
    details: OllamaDetails
    capabilities: list[str] = Field(description="`image`: it draws.")
    expires_at: str = optional("Of a model that is loaded: it stays until another one takes its place.")
    size_vram: int = optional("Of a model that is loaded; where it lies is for the engine to say.")


class OllamaModels(Answer):
    models: list[OllamaModel]


class OllamaShown(Answer):
    """A model."""

    license: str = optional("As its notes say.")
    modelfile: str
    parameters: str
    template: str
    details: OllamaDetails
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str


class OllamaVersion(Answer):
    version: str = Field(description="Of the API that is spoken here.")
