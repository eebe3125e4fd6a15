"""What a conversion takes over the wire."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict, Field

from sdcpp_rest.core.params import ConvertParams
from sdcpp_rest.routes.http.mirrored_fields import mirror
from sdcpp_rest.routes.http.wire_models import Flag, Text, Wire
from sdcpp_rest.routes.native.wire.engine_wire import DEVICE_WORDS, LONGEST_NAME


class ConvertBody(Wire):
    """Which model to write anew, and how."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"input_path": "demo_dit_q8_0.gguf", "output_type": "q4_0"}]}
    )

    carried: ClassVar[frozenset[str]] = frozenset(
        {"input", "output", "vae", "expected_bytes", "parts", "restores_weights"}
    )

    input_path: Text = Field(
        min_length=1,
        max_length=4096,
        description="The model: a name of `GET /models`, or an absolute path inside the model folders. A model that is "
        "split into GGUF files is merged first.",
        examples=["demo_dit_q8_0.gguf"],
    )
    output_type: Text = Field(
        min_length=1,
        description="One of the quantization_types of `GET /options`. Or `keep`, for a model that is split into GGUF "
        "files: they are merged into one, and nothing else changes.",
        examples=["q4_0"],
    )
    output_path: Text = Field(
        "",
        max_length=4096,
        description="Where to write: relative to the folder of the model's type, ending in .gguf or .safetensors. Left "
        "out: the model's name with the type in it, or the name that merged parts have in common.",
    )
    vae_path: Text = Field("", max_length=4096, description="A VAE to put into the result.")
    tensor_type_rules: Text = mirror(
        ConvertParams,
        "tensor_type_rules",
        "Other types for some tensors: `^vae\\.=f16`, say; the first that fits counts.",
    )
    overwrite: Flag = Field(False, description="Replace a file that has the result's name.")
    title: Text = Field("", max_length=200, description="A name for lists; found by their search.")
    device: Text = Field("", max_length=LONGEST_NAME, description=DEVICE_WORDS)
