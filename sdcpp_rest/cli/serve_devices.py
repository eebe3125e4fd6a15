"""Says what a server computes on: at its start what the build is known for, and once an engine runs, its devices.

Never loads the native library; must not keep the start waiting.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdcpp_rest.engine.protocol import Ready
    from sdcpp_rest.engine.supervisor import EngineSupervisor

log = logging.getLogger(__name__)


def describe_backend() -> str:
    """What the installed native library was built for, as far as its flags say."""
    from sdcpp_rest.native.build_stamp import installed_folder, read_flags, stamped_backends

    folder = installed_folder()
    if folder is None:
        return "none: the native library is not installed"
    if backends := stamped_backends(folder):
        return f"{' and '.join(backends)}, by the build's flags; the log names the device"
    return "CPU" if read_flags(folder) is not None else "not known yet; the log names it"


def tell_devices(supervisor: EngineSupervisor, root: Path = Path("/")) -> None:
    """Wait for the first engine, then log what models run on, and warn of a GPU that nothing uses."""
    supervisor.was_ready.wait()
    ready = supervisor.ready
    if ready is None:
        return
    log.info("models run on %s", describe_devices(ready))
    if warning := advise_idle_gpu(ready, root):
        log.warning("%s", warning)


def start_telling(supervisor: EngineSupervisor) -> None:
    """Have `tell_devices` done on a thread of its own."""
    threading.Thread(target=tell_devices, args=(supervisor,), name="device-report", daemon=True).start()


def describe_devices(ready: Ready) -> str:
    """The GPUs that an engine sees, or else its CPU, each with its backend."""
    gpus = [device for device in ready.devices if device.is_gpu]
    named = [f"{device.name}: {device.description} ({device.backend})" for device in gpus or ready.devices[:1]]
    return ", ".join(named) or ready.backend


def advise_idle_gpu(ready: Ready, root: Path = Path("/")) -> str | None:
    """A sentence where this machine shows a GPU and the engine sees none."""
    from sdcpp_rest.native.machine_gpu import find_gpu

    if any(device.is_gpu for device in ready.devices) or find_gpu(root) is None:
        return None
    # Only now: most machines without a GPU in use have none, and need nothing of this imported.
    from sdcpp_rest.native.build_stamp import installed_folder, stamped_backends
    from sdcpp_rest.native.devices import unused_gpu

    return unused_gpu(ready.devices, {*ready.backends, *stamped_backends(installed_folder())}, root=root)
