"""Writes a model file with other weight types, by the library's ``convert``.

Knows paths and types; what a model is called, where it belongs and how a half file is put away is for its callers.
"""

from __future__ import annotations

from sdcpp_rest.native.library import Library, encode_path, open_library
from sdcpp_rest.native.type_rules import encode_type_rules, parse_type_rules
from sdcpp_rest.native.weight_types import WeightType, writable_type

SAFETENSORS_TYPES = ("f32", "f16", "bf16")
"""What the library can write into a file whose name ends in .safetensors."""


def convertible_types(library: Library) -> tuple[WeightType, ...]:
    """The weight types that ``convert`` takes."""
    return library.quantization_types()


def convert(
    input_path: str,
    output_path: str,
    output_type: str,
    *,
    vae_path: str | None = None,
    tensor_type_rules: str = "",
    convert_name: bool = False,
    library: Library | None = None,
) -> None:
    """Write the weights of ``input_path`` (and of ``vae_path``, as its VAE) to ``output_path`` as ``output_type``.

    The ending of ``output_path`` decides the format: .safetensors, or GGUF for every other name. Metadata is left
    behind. The whole result is held in memory before the first byte is written; a failure can leave half a file behind.
    ``convert_name`` gives tensors the names that the library uses itself.

    Raises:
        ValueError: a type, rule or path that would end the process or cannot be written; nothing was called.
        NativeError: the library could not read the input or write the output.
    """
    library = library or open_library()
    base = writable_type(output_type)
    rules = parse_type_rules(library, tensor_type_rules)
    if output_path.endswith(".safetensors"):
        for wanted in (base, *(weight_type for _, weight_type in rules)):
            if wanted.id not in SAFETENSORS_TYPES:
                allowed = ", ".join(SAFETENSORS_TYPES)
                raise ValueError(f"a safetensors file cannot hold weight type {wanted.id!r}; allowed: {allowed}")
    counted = base
    base_bits = library.bits_per_weight(base)
    if any(library.bits_per_weight(weight_type) > base_bits for _, weight_type in rules):
        # The library allocates what the weights would need without the rules, and asserts when they need more: let it
        # count with the widest type, and make the wanted one the rule that matches every name. Untouched memory of the
        # difference is never backed by pages.
        counted, rules = writable_type("f32"), (*rules, (".", base))
    library.call(
        "guard_convert",
        library.raw.convert,
        encode_path(input_path, "input path"),
        encode_path(vae_path, "vae path") if vae_path else None,
        encode_path(output_path, "output path"),
        counted.value,
        encode_type_rules(library, rules),
        convert_name,
    )
