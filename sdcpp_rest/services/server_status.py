"""Reports how the server stands: the bodies of ``GET /health``, ``/memory`` and ``/options``, and ``server_status``.

Reads what the engine last said of itself, and never waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import psutil

from sdcpp_rest.core.sampling import SAMPLERS, SCHEDULERS
from sdcpp_rest.engine.protocol import Ready
from sdcpp_rest.engine.supervisor import EngineSupervisor
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.dispatch.upscaler_slot import UpscalerSlot
from sdcpp_rest.services.jobs.job_queue import JobQueue


class ServerStatus:
    """Describes the server, its engine and what that holds. Thread-safe.

    Args:
        computes: false where the engine draws without the native library, so that memory is nobody's concern.
        redact_paths: takes out of messages what users must not know.
    """

    def __init__(
        self,
        supervisor: EngineSupervisor,
        models: ModelSlot,
        upscalers: UpscalerSlot,
        queue: JobQueue,
        *,
        version: str,
        computes: bool,
        redact_paths: Callable[[str], str],
    ) -> None:
        self._supervisor = supervisor
        self._models = models
        self._upscalers = upscalers
        self._queue = queue
        self._version = version
        self._computes = computes
        self._redact_paths = redact_paths
        self._process = psutil.Process()

    def health(self) -> dict[str, Any]:
        """The body of ``GET /health``."""
        models, resident, loading = self._models, self._models.resident, self._models.loading
        supervisor = self._supervisor
        client, ready = supervisor.client, supervisor.ready
        architecture = models.loaded.architecture if models.loaded else None
        upscaler = self._upscalers.resident
        return {
            "status": "ok",
            "model_loaded": resident is not None,
            "model_loading": loading is not None,
            "loading_model_name": loading.model.name if loading else None,
            "last_error": self._redact_paths(models.last_error) if models.last_error else None,
            "model_name": resident.model.name if resident else None,
            "model_type": resident.kind if resident else None,
            "model_architecture": (architecture or resident.architecture) if resident else None,
            "loaded_components": resident.component_names if resident else {},
            "upscaler_loaded": upscaler is not None,
            "upscaler_name": upscaler.model.name if upscaler else None,
            "selected_model_name": models.selected.model.name if models.selected else None,
            "version": self._version,
            "engine": {
                "pid": client.pid if client is not None and client.alive else None,
                "state": supervisor.state,
                "backend": ready.backend if ready else None,
                "restarts": supervisor.restarts,
                "library_version": ready.library_version if ready else None,
            },
        }

    def memory(self) -> dict[str, Any]:
        """Bytes held by the server and its engine, and the devices' free memory; from the engine's last report."""
        client = self._supervisor.client
        report = client.memory if client is not None and client.alive else None
        devices = report.devices if report else (self._supervisor.ready.devices if self._supervisor.ready else ())
        system = psutil.virtual_memory()
        return {
            "server": {"rss_bytes": self._process.memory_info().rss},
            "engine": {"rss_bytes": report.rss_bytes if report else None},
            "system": {"total_bytes": system.total, "available_bytes": system.available},
            "devices": [device.model_dump() for device in devices],
        }

    def options(self) -> dict[str, Any]:
        """The body of ``GET /options``: the engine's own lists, also while it is being replaced."""
        ready = self._supervisor.ready or Ready(pid=0, library_version="", samplers=SAMPLERS, schedulers=SCHEDULERS)
        return {
            "samplers": list(ready.samplers),
            "schedulers": list(ready.schedulers),
            "quantization_types": [entry.model_dump() for entry in ready.quantization_types],
        }

    def snapshot(self) -> dict[str, Any]:
        """The data of the ``server_status`` event."""
        counts: Mapping[str, int] = self._queue.counts()
        queue = {f"{name}_count": count for name, count in counts.items()}
        return {**self.health(), "queue": queue, "memory": self.memory()}

    def all_memory_bytes(self) -> int | None:
        """Main memory, swap and the devices' own together; ``None`` while nothing real computes."""
        ready = self._supervisor.ready
        if not self._computes or ready is None:
            return None
        devices = sum(device.total_bytes for device in ready.devices if device.is_gpu)
        return int(psutil.virtual_memory().total + psutil.swap_memory().total + devices)
