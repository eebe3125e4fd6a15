"""Names the tools: what each is for, its arguments, and what it does to the world. Pure; needs no SDK.

All of it together stays below `MOST_SCHEMA_BYTES`: local models pay for every word.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sdcpp_rest.config.auth_section import Scope
from sdcpp_rest.routes.http.wire_models import Wire
from sdcpp_rest.routes.mcp.wire import (
    CancelJob,
    EditImage,
    GenerateImage,
    GenerateVideo,
    JobStatus,
    ListImages,
    ListModels,
    LoadModel,
    UpscaleImage,
    write_schema,
)

MOST_SCHEMA_BYTES = 6000

INSTRUCTIONS = (
    "Draws pictures and videos on this machine, one job at a time. A tool that answers with status queued or running "
    "has not failed: call job_status with its job_id. Show the user the url of a picture."
)


@dataclass(frozen=True)
class Tool:
    """A tool as clients see it. ``is_read_only``: it changes nothing; ``is_destructive``: it ends or replaces
    something; ``is_open``: it may call other machines."""

    name: str
    title: str
    description: str
    arguments: type[Wire]
    is_read_only: bool = False
    is_destructive: bool = False
    is_open: bool = False

    @property
    def scope(self) -> Scope:
        """What a key must be allowed to call it."""
        return "read" if self.is_read_only else "generate"

    def describe(self) -> dict[str, Any]:
        """In the shape of ``tools/list``."""
        hints = {
            "readOnlyHint": self.is_read_only,
            "destructiveHint": self.is_destructive,
            "openWorldHint": self.is_open,
        }
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": write_schema(self.arguments),
            "annotations": hints,
        }


TOOLS: Sequence[Tool] = (
    Tool("generate_image", "Generate image", "Draw pictures from words. Leave steps and cfg_scale out.", GenerateImage),
    Tool(
        "edit_image",
        "Edit image",
        "Draw from a picture and words: changed as a whole (strength), where a mask is white, or by reference_images.",
        EditImage,
        is_open=True,
    ),
    Tool("upscale_image", "Upscale image", "Make a picture larger with an upscaler model.", UpscaleImage, is_open=True),
    Tool("generate_video", "Generate video", "Make a video from words and frames.", GenerateVideo, is_open=True),
    Tool(
        "list_models",
        "List models",
        "List models (what each is good for, its size and steps, whether it fits into memory), upscalers and LoRAs.",
        ListModels,
        is_read_only=True,
    ),
    Tool("load_model", "Load model", "Load a model and select it for later jobs.", LoadModel, is_destructive=True),
    Tool(
        "job_status",
        "Job status",
        "Wait for a job and get its pictures, or how far it is. Leaving does not cancel it.",
        JobStatus,
        is_read_only=True,
    ),
    Tool("cancel_job", "Cancel job", "Cancel a queued or running job.", CancelJob, is_destructive=True),
    Tool(
        "list_images", "List images", "List finished pictures and videos, newest first.", ListImages, is_read_only=True
    ),
)


def count_schema_bytes(tools: Sequence[Tool] = TOOLS) -> int:
    """Bytes of what a language model is shown of the tools: names, descriptions and schemas."""
    shown = [tool.describe() for tool in tools]
    kept = [{name: one[name] for name in ("name", "description", "inputSchema")} for one in shown]
    return len(json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode())
