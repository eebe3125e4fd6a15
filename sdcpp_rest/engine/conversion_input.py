"""Gives a conversion one whole file to read: the model's own, or one that is made of it first, of its parts or of its
numbers and their scales.

Every runner converts by this. Knows where half files lie beside a result; not which of them a server sweeps away.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sdcpp_rest.core.params import KEEP, ConvertParams
from sdcpp_rest.engine.gguf_merging import merge_parts
from sdcpp_rest.engine.runner import RunFailed

if TYPE_CHECKING:
    from sdcpp_rest.engine.weight_restoring import FloatType

# Of a conversion that merges first, and of one that restores numbers first.
_MERGED_PERCENT = 20
_RESTORED_PERCENT = 40


@contextlib.contextmanager
def whole_input(
    params: ConvertParams, tell: Callable[[int], None]
) -> Iterator[tuple[str, Callable[[int], None]] | None]:
    """Yield the path of the file to convert, and the function that is to be told the percentage of its conversion;
    ``None`` where nothing is left to do, because the result itself is written already.

    ``tell`` is told the percentage of everything. What is made for the conversion alone is made beside the result, and
    removed in the end. Raises RunFailed.
    """
    if params.restores_weights:
        make, made, percent, is_all = (
            _restore,
            restored_path_of(params.output.path),
            _RESTORED_PERCENT,
            is_direct(params),
        )
    elif params.parts:
        make, made, percent, is_all = (
            _merge,
            merged_path_of(params.output.path),
            _MERGED_PERCENT,
            params.output_type == KEEP,
        )
    else:
        yield params.input.path, tell
        return
    if is_all:
        make(params, params.output.path, lambda share: tell(int(100 * share)))
        yield None
        return
    try:
        make(params, made, lambda share: tell(int(percent * share)))
        yield made, lambda converted: tell(percent + converted * (100 - percent) // 100)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(made)


def merged_path_of(output: str) -> str:
    """The file that parts are merged into before they are converted to the file ``output``."""
    return str(Path(output).with_suffix(".merged.gguf"))


def restored_path_of(output: str) -> str:
    """The file with whole numbers that is converted to the file ``output``."""
    return str(Path(output).with_suffix(".fp.safetensors"))


def is_direct(params: ConvertParams) -> bool:
    """Whether the result of a conversion that restores weights needs nothing else: a safetensors file of floats."""
    return params.output.path.endswith(".safetensors") and params.vae is None and not params.tensor_type_rules


def floats_of(output_type: str) -> FloatType:
    """In which numbers weights are restored that are to become ``output_type``."""
    by_type: dict[str, FloatType] = {"f32": "F32", "bf16": "BF16"}
    return by_type.get(output_type, "F16")


def _restore(params: ConvertParams, target: str, tell: Callable[[float], None]) -> None:
    # They bring numpy along, a third of a second: only engines that restore pay for it.
    from sdcpp_rest.engine.paired_weights import plan_restoration
    from sdcpp_rest.engine.weight_restoring import restore_weights

    source = params.input.path
    try:
        restore_weights(
            source,
            target,
            plan_restoration(source),
            floats=floats_of(params.output_type),
            every_matrix=target == params.output.path,
            may_widen=params.output_type != "f16",
            on_written=lambda done, total: tell(done / max(1, total)),
        )
    except ValueError as error:
        raise RunFailed(f"{Path(source).name} cannot be converted: {error}") from error
    except OSError as error:
        why = error.strerror or error
        raise RunFailed(f"The numbers could not be restored: {why}", code="output_failed") from error


def _merge(params: ConvertParams, target: str, tell: Callable[[float], None]) -> None:
    try:
        merge_parts([part.path for part in params.parts], target, lambda done, total: tell(done / max(1, total)))
    except ValueError as error:
        raise RunFailed(str(error)) from error
    except OSError as error:
        why = error.strerror or error
        raise RunFailed(f"The parts could not be merged: {why}", code="output_failed") from error
