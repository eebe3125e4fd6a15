"""Loads models in ONNX files at their first use, keeps them, and loads them anew when their folder changed.

They run on the CPU by onnxruntime, which is optional and imported here alone. Knows nothing of pictures.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sdcpp_rest.errors import GenerationFailed, LoadFailed, NotSupported

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

log = logging.getLogger(__name__)

T = TypeVar("T")

_SHOWN_CHARACTERS = 300
_ERRORS_ONLY = 3


class OnnxModel:
    """Runs a model with one input of 32-bit floats.

    ``shape``: of the input; ``None`` for a side that is not fixed.
    Raises NotSupported without onnxruntime, LoadFailed for a file that is no such model.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._path = path
        self._session = _session(path, threads)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            told = ", ".join(f"{one.name} ({one.type})" for one in inputs)
            raise LoadFailed(f"{path.name} must have one input, a picture as tensor(float); it has {told or 'none'}")
        self._input = inputs[0].name
        self.shape: tuple[int | None, ...] = tuple(
            side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape
        )

    def run(self, values: Floats) -> Mapping[str, Any]:
        """What the model makes of ``values``, by the names of its outputs. Raises GenerationFailed."""
        names = [one.name for one in self._session.get_outputs()]
        try:
            return dict(zip(names, self._session.run(names, {self._input: values}), strict=True))
        except Exception as error:  # onnxruntime has classes of its own for everything, without a common one
            raise GenerationFailed(f"{self._path.name} failed: {_explain(error, self._path)}") from error


class CachedModel(Generic[T]):
    """Keeps the model in ``folder`` in memory since its first use. Thread-safe.

    Args:
        load: reads it; it raises what it cannot do, and is tried again at the next use.
    """

    def __init__(self, folder: Path, load: Callable[[Path], T]) -> None:
        self.folder = folder
        self._load = load
        self._lock = threading.Lock()
        self._model: T | None = None
        self._seen: object = None

    @contextlib.contextmanager
    def in_use(self) -> Iterator[T]:
        """The model, for one caller at a time: each run needs memory of its own."""
        with self._lock:
            # Looked at before it is read: what changes meanwhile is noticed the next time.
            seen = _look_of(self.folder)
            if self._model is None or seen != self._seen:
                # The old one goes first, so that two are never in memory.
                self._model = None
                self._model, self._seen = self._load(self.folder), seen
                log.info("loaded the model in %s", self.folder)
            yield self._model


def _look_of(folder: Path) -> object:
    """Everything in the folder, since a model may lie in several files. Links count as what they lead to."""
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                state = entry.stat()
                found.append((entry.name, state.st_size, state.st_mtime_ns, state.st_ino))
    return sorted(found)


def _session(path: Path, threads: int) -> Any:
    try:
        # Here, because it is optional, and loading it takes longer than most starts of the server.
        import onnxruntime
    except ImportError:
        raise NotSupported(
            'Describing pictures with a model in a file needs onnxruntime: pip install "sdcpp-rest[interrogate]"'
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise LoadFailed(f"{path.name} cannot be loaded: {_explain(error, path)}") from error


def _explain(error: Exception, path: Path) -> str:
    return " ".join(str(error).replace(str(path), path.name).split())[:_SHOWN_CHARACTERS]
