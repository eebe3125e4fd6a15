"""Defines the settings for describing pictures in words.

Opens no model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from sdcpp_rest.config.sections import Integer, Number, Section, absolute


def _folder_or_none(text: str) -> str:
    return str(absolute(Path(text))) if text.strip() else ""


FolderOrNone = Annotated[str, AfterValidator(_folder_or_none)]


class InterrogateConfig(Section):
    """Describing pictures in words (interrogation), for the dialects that have it. The models in files need
    onnxruntime: pip install "sdcpp-rest[interrogate]"."""

    tagger_dir: FolderOrNone = Field(
        default="",
        description="Folder of the tagger that answers to deepdanbooru: model.onnx with selected_tags.csv (a WD "
        "tagger) or with tags.txt (DeepDanbooru). Empty: interrogate/tagger in models_dir.",
    )
    clip_dir: FolderOrNone = Field(
        default="",
        description="Folder of the CLIP model that answers to clip: image.onnx (the image encoder) with phrases.npz "
        "(phrases and what the text encoder made of them). Empty: interrogate/clip in models_dir.",
    )
    vision_model: str = Field(
        default="",
        max_length=200,
        description="A vision model at the prompt enhancer's language model server ([ollama]) that answers to clip "
        "instead: pictures are sent there. Empty: none.",
        examples=["llava"],
    )
    general_threshold: Number = Field(default=0.35, ge=0, le=1, description="How sure of a tag the tagger must be.")
    character_threshold: Number = Field(
        default=0.85, ge=0, le=1, description="How sure of a tag that names a character it must be."
    )
    threads: Integer = Field(default=1, ge=1, le=256, description="CPU threads that a model in a file computes with.")
