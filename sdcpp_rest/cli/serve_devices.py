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
    """What the native library that engines load was built for, as far as the stamp beside it says."""
    from sdcpp_rest.native.prebuilt import binding_folder, choose_library, stamped_backends

    choice = choose_library(binding_folder())
    if choice.kind == "none":
        return "none: the native library is not installed"
    backends = stamped_backends(choice)
    if not backends:
        return "CPU" if backends is not None else "not known yet; the log names it"
    named = " and ".join(backends)
    if choice.kind == "prebuilt":
        return f"{named} where its driver is here, else CPU, by the prebuilt engine; the log names the device"
    return f"{named}, by the build's flags; the log names the device"


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
    from sdcpp_rest.native.devices import unused_gpu
    from sdcpp_rest.native.prebuilt import binding_folder, choose_library, stamped_backends

    built = stamped_backends(choose_library(binding_folder())) or ()
    return unused_gpu(ready.devices, {*ready.backends, *built}, root=root)
