"""Tells what one engine holds: models, and an upscaler.

Written by the thread of that engine's lane alone, read by all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.engine.protocol import Loaded, UpscalerReady
from sdcpp_rest.services.models.file_stamps import Stamps


@dataclass
class HeldModel:
    """A model in an engine's memory.

    ``stamps``: its files as they were when they were loaded; another file under the same name is another model.
    ``merged``: the LoRAs in its weights, which nothing takes out again without rounding.
    ``needed_bytes``: what it takes of the memory that models share, estimated, or measured where that is known.
    ``has_leftovers``: a cancelled run has left weights of it on the GPU that belong into main memory.
    """

    spec: LoadSpec
    loaded: Loaded
    stamps: Stamps = field(default_factory=dict)
    merged: tuple[object, ...] = ()
    needed_bytes: int = 0
    has_leftovers: bool = False


class Holding:
    """Keeps what one engine holds. ``held`` maps a spec's key to its model, least recently used first.

    ``loading``: what is being loaded now; ``loading_progress`` of it 0..1, ``None`` where nobody counts.
    """

    def __init__(self) -> None:
        self.held: dict[str, HeldModel] = {}
        self.loading: LoadSpec | None = None
        self.loading_progress: float | None = None
        self.upscaler: UpscalerSpec | None = None
        self.upscaler_ready: UpscalerReady | None = None
        self.upscaler_stamps: Stamps = {}

    @property
    def current(self) -> HeldModel | None:
        """The model that was used last."""
        held = self.held
        return held[next(reversed(held))] if held else None

    @property
    def specs(self) -> tuple[LoadSpec, ...]:
        """Of every model that is held, least recently used first."""
        return tuple(model.spec for model in tuple(self.held.values()))

    @property
    def resident(self) -> LoadSpec | None:
        current = self.current
        return None if current is None else current.spec

    @property
    def loaded(self) -> Loaded | None:
        current = self.current
        return None if current is None else current.loaded

    def list_served(self) -> tuple[str, ...]:
        """Keys of every spec whose jobs need no load here."""
        return tuple(key for model in tuple(self.held.values()) for key in served_keys(model.spec))

    def put(self, model: HeldModel) -> None:
        """Note a model that was loaded; it is the current one."""
        self.held = {**{key: one for key, one in self.held.items() if key != model.spec.key}, model.spec.key: model}

    def use(self, key: str) -> None:
        """Make a held model the current one."""
        if next(reversed(self.held), None) != key:
            self.put(self.held[key])

    def drop(self, key: str) -> HeldModel | None:
        """Forget a model; the one that it was, if it was held."""
        dropped = self.held.get(key)
        self.held = {other: model for other, model in self.held.items() if other != key}
        return dropped

    def clear(self) -> None:
        """Forget everything: the engine that held it has ended."""
        self.held = {}
        self.upscaler = self.upscaler_ready = None


def served_keys(spec: LoadSpec) -> tuple[str, ...]:
    """Keys of the specs that ``spec`` in the engine serves: its own, and the one without the VAE's encoder."""
    if spec.options.vae_decode_only:
        return (spec.key,)
    return spec.key, spec.without_encoder.key
