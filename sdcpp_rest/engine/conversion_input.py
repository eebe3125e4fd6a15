"""Gives a conversion one whole file to read: the model's own, or its parts, merged first.

Every runner converts by this. Knows where half files lie beside a result; not which of them a server sweeps away.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from sdcpp_rest.core.params import KEEP, ConvertParams
from sdcpp_rest.engine.gguf_merging import merge_parts
from sdcpp_rest.engine.runner import RunFailed

# Of a conversion that merges first.
_MERGED_PERCENT = 20


@contextlib.contextmanager
def whole_input(
    params: ConvertParams, tell: Callable[[int], None]
) -> Iterator[tuple[str, Callable[[int], None]] | None]:
    """Yield the path of the file to convert, and the function that is to be told the percentage of its conversion;
    ``None`` where nothing is left to do, because the parts were merged into the result itself.

    ``tell`` is told the percentage of everything. Parts that are merged for the conversion alone are merged into a file
    beside the result, which is removed in the end. Raises RunFailed.
    """
    if not params.parts:
        yield params.input.path, tell
        return
    if params.output_type == KEEP:
        _merge(params, params.output.path, lambda share: tell(int(100 * share)))
        yield None
        return
    merged = merged_path_of(params.output.path)
    try:
        _merge(params, merged, lambda share: tell(int(_MERGED_PERCENT * share)))
        yield merged, lambda percent: tell(_MERGED_PERCENT + percent * (100 - _MERGED_PERCENT) // 100)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(merged)


def merged_path_of(output: str) -> str:
    """The file that parts are merged into before they are converted to the file ``output``."""
    return str(Path(output).with_suffix(".merged.gguf"))


def _merge(params: ConvertParams, target: str, tell: Callable[[float], None]) -> None:
    try:
        merge_parts([part.path for part in params.parts], target, lambda done, total: tell(done / max(1, total)))
    except ValueError as error:
        raise RunFailed(str(error)) from error
    except OSError as error:
        why = error.strerror or error
        raise RunFailed(f"The parts could not be merged: {why}", code="output_failed") from error
