"""Reports how the server stands: the bodies of ``GET /health``, ``/memory`` and ``/options``, and ``server_status``.

Reads what the engine last said of itself, and never waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import psutil

from sdcpp_rest.core.events import LOADING_STEPS, loading_step
from sdcpp_rest.core.sampling import SAMPLERS, SCHEDULERS
from sdcpp_rest.engine.protocol import Device, Ready
from sdcpp_rest.services.dispatch.lane import Lane
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.dispatch.upscaler_slot import UpscalerSlot
from sdcpp_rest.services.engines_status import EnginesStatus, devices_of
from sdcpp_rest.services.jobs.job_queue import JobQueue

_MIB = 1024 * 1024


class DatabaseNotes(Protocol):
    """Tells of the database, in sentences."""

    def trouble(self) -> str | None: ...

    def note(self) -> str | None: ...


class ServerStatus:
    """Describes the server, its engines and what they hold. Thread-safe.

    Args:
        engines: all of them; what is told of one engine is told of the home one.
        computes: false where the engine draws without the native library, so that memory is nobody's concern.
        asks_for_key: whether callers have to show a key.
        redact_paths: takes out of messages what users must not know.
        database: tells what is wrong with it, and what became of a damaged one.
    """

    def __init__(
        self,
        engines: EnginesStatus,
        models: ModelSlot,
        upscalers: UpscalerSlot,
        queue: JobQueue,
        *,
        version: str,
        computes: bool,
        asks_for_key: bool,
        redact_paths: Callable[[str], str],
        database: DatabaseNotes | None = None,
    ) -> None:
        self.engines = engines
        self._models = models
        self._upscalers = upscalers
        self._queue = queue
        self._version = version
        self._computes = computes
        self._asks_for_key = asks_for_key
        self._redact_paths = redact_paths
        self._database = database
        self._process = psutil.Process()

    def health(self) -> dict[str, Any]:
        """The body of ``GET /health``."""
        models, resident, loading = self._models, self._models.resident, self._models.loading
        cluster = self.engines.describe_cluster()
        supervisor = self.engines.home.supervisor
        client, ready = supervisor.client, supervisor.ready
        architecture = models.loaded.architecture if models.loaded else None
        upscaler = self._upscalers.resident
        step = loading_step(models.loading_progress) if loading else None
        trouble = self.database_trouble()
        note = trouble or (self._database.note() if self._database is not None else None)
        return {
            "status": "ok" if trouble is None and (cluster is None or cluster["is_connected"]) else "degraded",
            "model_loaded": resident is not None,
            "model_loading": loading is not None,
            "loading_model_name": loading.model.name if loading else None,
            "loading_step": step,
            "loading_total_steps": None if step is None else LOADING_STEPS,
            "last_error": self._redact_paths(models.last_error) if models.last_error else None,
            "database_note": self._redact_paths(note) if note else None,
            "model_name": resident.model.name if resident else None,
            "model_type": resident.kind if resident else None,
            "model_architecture": (architecture or resident.architecture) if resident else None,
            "loaded_components": resident.component_names if resident else {},
            "load_options": resident.options.model_dump(mode="json") if resident else {},
            "supports_image_generation": models.loaded.supports_images if models.loaded else False,
            "supports_video_generation": models.loaded.supports_video if models.loaded else False,
            "upscaler_loaded": upscaler is not None,
            "upscaler_name": upscaler.model.name if upscaler else None,
            "selected_model_name": models.selected.model.name if models.selected else None,
            "version": self._version,
            "git_commit": ready.library_commit if ready else "",
            "ws_enabled": True,
            "features": self._features(),
            "memory": self.memory(),
            "engines": self.engines.counts(),
            "kept_models": list(dict.fromkeys(model["name"] for model in self.engines.kept_models())),
            "engine": {
                "pid": client.pid if client is not None and client.alive else None,
                "state": supervisor.state,
                "backend": ready.backend if ready else None,
                "restarts": supervisor.restarts,
                "library_version": ready.library_version if ready else None,
            },
        }

    def database_trouble(self) -> str | None:
        """What is wrong with the database now; ``None`` while nothing is known."""
        return self._database.trouble() if self._database is not None else None

    def memory(self) -> dict[str, Any]:
        """Bytes held by the server and its engines, and the devices' free memory; from the engines' last reports."""
        return self._memory(self.engines.lanes)

    def home_memory(self) -> dict[str, Any]:
        """The same with no other engine's process than the home one's: what leaves for another model there."""
        return self._memory(self.engines.lanes[:1])

    def _memory(self, counted: Sequence[Lane]) -> dict[str, Any]:
        system, own = psutil.virtual_memory(), self._process.memory_info()
        reports = [client.memory for lane in counted if (client := lane.supervisor.client) is not None and client.alive]
        sizes = [report.rss_bytes for report in reports if report is not None]
        engine_bytes = sum(sizes) if sizes else None
        devices = list(self._devices())
        both = own.rss + (engine_bytes or 0)
        return {
            "server": {"rss_bytes": own.rss},
            "engine": {"rss_bytes": engine_bytes},
            "system": {"available_bytes": system.available, **_shares(system.total, system.available)},
            "process": {
                "rss_bytes": both,
                "virtual_bytes": own.vms,
                "rss_mb": both // _MIB,
                "virtual_mb": own.vms // _MIB,
            },
            "gpu": _first_gpu(devices),
            "devices": [device.model_dump() for device in devices],
            "models": self.engines.kept_models(),
        }

    def _devices(self) -> Iterator[Device]:
        """Those of the home engine, and the GPUs of the others by the engines' names: each process calls the only one
        that it sees the first."""
        home = self.engines.home
        yield from devices_of(home)
        for lane in self.engines.lanes:
            # Engines that share a device differ by what follows the mark.
            if lane is not home and "#" not in lane.name:
                for device in devices_of(lane):
                    if device.is_gpu:
                        yield device.model_copy(update={"name": lane.name})

    def options(self) -> dict[str, Any]:
        """The body of ``GET /options``: the engine's own lists, also while it is being replaced."""
        ready = self.engines.home.supervisor.ready or Ready(
            pid=0, library_version="", samplers=SAMPLERS, schedulers=SCHEDULERS
        )
        return {
            "samplers": list(ready.samplers),
            "schedulers": list(ready.schedulers),
            "quantization_types": [entry.model_dump() for entry in ready.quantization_types],
        }

    def snapshot(self) -> dict[str, Any]:
        """The data of the ``server_status`` event."""
        counts: Mapping[str, int] = self._queue.counts()
        queue = {f"{name}_count": count for name, count in counts.items()}
        return {**self.health(), "queue": queue}

    def _features(self) -> dict[str, bool]:
        return {
            "auth_required": self._asks_for_key,
            "auto_unload": True,
            "controlnet_hotswap": True,
            "experimental_offload": False,
            "unified_streaming": False,
            "sefi_image": False,
            "ip_adapter": False,
            "ip_adapter_plus": False,
            "adetailer": False,
            "mcp": True,
        }

    def all_memory_bytes(self) -> int | None:
        """Main memory, swap and the devices' own together; ``None`` while nothing real computes."""
        ready = self.engines.home.supervisor.ready
        if not self._computes or ready is None:
            return None
        devices = sum(device.total_bytes for device in ready.devices if device.is_gpu)
        return int(psutil.virtual_memory().total + psutil.swap_memory().total + devices)


def _shares(total: int, free: int) -> dict[str, Any]:
    """Memory of which ``free`` bytes are free, in every unit that clients show."""
    used = total - free
    return {
        "total_bytes": total,
        "used_bytes": used,
        "free_bytes": free,
        "total_mb": total // _MIB,
        "used_mb": used // _MIB,
        "free_mb": free // _MIB,
        "usage_percent": round(100 * used / total, 1) if total else 0.0,
    }


def _first_gpu(devices: Sequence[Device]) -> dict[str, Any]:
    """The GPU that models run on; zeros where there is none."""
    gpu = next((device for device in devices if device.is_gpu), None)
    if gpu is None:
        return {"available": False, "name": "", **_shares(0, 0)}
    return {"available": True, "name": gpu.description or gpu.name, **_shares(gpu.total_bytes, gpu.free_bytes)}
