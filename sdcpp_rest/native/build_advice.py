"""Says what could be better about the native library on this machine, without loading it.

``python -m sdcpp_rest.native.build_advice`` does it for whoever must not know native code: what the library said of
itself comes in as JSON, the sentences go out as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sdcpp_rest.native import build
from sdcpp_rest.native.devices import ListedDevice, unused_gpu


class Advice(NamedTuple):
    """Sentences; ``None`` where all is well. ``gpu``: of one that is not used; ``rebuild``: why the library should be
    built again."""

    gpu: str | None
    rebuild: str | None


class _Device(NamedTuple):
    """What is asked of a device."""

    backend: str
    is_gpu: bool


def advise(devices: Sequence[ListedDevice], backends: Collection[str]) -> Advice:
    """What is to be said of a library that sees ``devices`` and was built with ``backends``."""
    try:
        reason = build.reason_to_build()
        rebuild = f"{reason}: run `sdcpp-rest native build`" if reason else None
    except build.BuildError as error:
        rebuild = str(error)
    return Advice(unused_gpu(devices, {*backends, *build.flagged_backends()}), rebuild)


def main() -> None:
    """Answer one question."""
    asked = json.load(sys.stdin)
    devices = [_Device(str(one["backend"]), bool(one["is_gpu"])) for one in asked["devices"]]
    sys.stdout.write(json.dumps(advise(devices, asked["backends"])._asdict()))


if __name__ == "__main__":
    main()
