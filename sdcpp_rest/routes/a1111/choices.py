"""The options of AUTOMATIC1111's clients over the server's state: what they read, and what a change of them does to the
model. Shared by the routes of this dialect; knows no request body."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound, NoModelLoaded
from sdcpp_rest.routes.a1111 import settings
from sdcpp_rest.routes.a1111.errors import RuntimeFailure, Unreadable
from sdcpp_rest.routes.http.answers import runtime
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.settings.dialect_options import DialectOptions
from sdcpp_rest.services.submission.model_titles import ModelTitles

AUTOMATIC, NONE = "Automatic", "None"


def open_choices() -> Choices:
    """The choices over the running server, from within a request."""
    running = runtime()
    return Choices(
        running.settings.a1111_options,
        running.submission.titles,
        running.models.slot,
        running.models.library,
        hash_patience_seconds=running.config.a1111.hash_patience_seconds,
    )


class Choices:
    """Lists the options and changes them; some are read off the server's state, and change it.

    ``hash_patience_seconds``: how long a change waits for the sum of a model that it chose.
    """

    def __init__(
        self,
        stored: DialectOptions,
        titles: ModelTitles,
        models: ModelSlot,
        library: ModelLibrary,
        *,
        hash_patience_seconds: float,
    ) -> None:
        self._stored = stored
        self._titles = titles
        self._models = models
        self._library = library
        self._hash_patience_seconds = hash_patience_seconds

    def list_options(self) -> dict[str, Any]:
        """Every option. What is selected is told by its title, as the list of models has it."""
        stored = self._stored.get()
        selected = self._titles.selected_model()
        return {
            **settings.DEFAULTS,
            **{name: value for name, value in stored.items() if name in settings.DEFAULTS},
            settings.CHECKPOINT: selected.title if selected else "",
            settings.CHECKPOINT_HASH: (selected.sha256 or "") if selected else "",
            settings.VAE: self._vae_shown(),
        }

    def change_options(self, given: Mapping[str, Any]) -> None:
        """Set options; blocks until a model that they choose is loaded.

        Raises RuntimeFailure for a model that is not there, Unreadable, LoadFailed, EngineDied, EngineUnavailable.
        """
        wanted = readable_options(given)
        spec = self._spec_to_select(wanted)
        # Not loaded again for every client that sends everything back: that would wait for whatever is being drawn.
        is_missing = bool(wanted.get(settings.CHECKPOINT)) and self._models.resident is None
        if spec is not None and (spec != self._models.selected or is_missing):
            file = self._titles.of(spec.model)
            self._models.select(spec).result()
            if file is not None:
                self._titles.begin_sum(file.file)
                self._titles.sum_of(file.file, self._hash_patience_seconds)
        kept = {
            name: value for name, value in wanted.items() if name not in (settings.CHECKPOINT, settings.CHECKPOINT_HASH)
        }
        stored = self._stored.get()
        # Clients send everything back that they have read: what is a default is not worth a row.
        self._stored.put(
            {name: value for name, value in kept.items() if stored.get(name, settings.DEFAULTS[name]) != value}
        )

    def read_overrides(self, overrides: Mapping[str, Any], ignored: list[str]) -> tuple[dict[str, Any], LoadSpec]:
        """The options and the load spec of one call with ``overrides``; what they cannot do is added to ``ignored``.

        A model that nobody knows is passed over, as those programs do. Raises NoModelLoaded, InvalidRequest, Unreadable
        for a format that cannot be written.
        """
        stored = {name: value for name, value in self._stored.get().items() if name in settings.DEFAULTS}
        options = {**settings.DEFAULTS, **stored}
        changes: dict[str, Any] = {}
        for name, value in overrides.items():
            try:
                if name in settings.DEFAULTS and value is not None:
                    changes[name] = settings.check_option(name, value)
            except ValueError as error:
                if name == settings.FORMAT:
                    # Pictures in another format than was asked for are of no use.
                    place = ["body", "override_settings", name]
                    raise Unreadable([{"loc": place, "msg": str(error), "type": "value_error"}]) from None
                ignored.append(f"override_settings.{name}")
                continue
            if name not in settings.EFFECTIVE and options.get(name) != value:
                ignored.append(f"override_settings.{name[:100]}")
        checkpoint = str(changes.get(settings.CHECKPOINT) or "")
        file = self._model_named(checkpoint) if checkpoint else None
        vae = changes.get(settings.VAE)
        if vae is not None and vae == self._vae_shown() and file is None:
            vae = None
        try:
            spec = self._titles.spec(file, components=vae_component(vae))
        except (ModelNotFound, InvalidRequest):
            if vae is None:
                raise
            ignored.append(f"override_settings.{settings.VAE}")
            spec = self._titles.spec(file)
        if spec is None:
            raise NoModelLoaded("No model loaded; choose one with the option sd_model_checkpoint")
        return {**options, **changes}, spec

    def keep_overrides(self, overrides: Mapping[str, Any]) -> None:
        """Make one call's overrides options, without those that were passed over, because they cannot be read or
        name a model that nobody knows. The pictures are drawn by now: nothing may be refused any more."""
        found = {}
        for name, value in overrides.items():
            with contextlib.suppress(KeyError, ValueError):
                found[name] = settings.check_option(name, value)
        for name in (settings.CHECKPOINT, settings.VAE):
            if name in found and not self._can_stay(name, str(found[name])):
                del found[name]
        self.change_options(found)

    def _can_stay(self, name: str, value: str) -> bool:
        if name == settings.CHECKPOINT:
            return self._titles.find(value) is not None
        return value.casefold() in ("automatic", "auto", "none") or is_there(self._library, "vae", value)

    def _vae_shown(self) -> str:
        """The option sd_vae: what somebody chose, as long as that is what is selected."""
        chosen = self._stored.get().get(settings.VAE, AUTOMATIC)
        spec = self._models.selected
        loaded = spec.components.get("vae") if spec is not None else None
        if chosen == NONE and loaded is None:
            return NONE
        return str(chosen) if loaded is not None and chosen == loaded.name else AUTOMATIC

    def _spec_to_select(self, wanted: Mapping[str, Any]) -> LoadSpec | None:
        """What is to be selected after such a change; ``None``: what is selected already."""
        name = wanted.get(settings.CHECKPOINT) or ""
        file = self._model_named(name) if name else None
        if name and file is None:
            raise RuntimeFailure(f"model {name[:200]!r} not found")
        vae = wanted.get(settings.VAE)
        if vae is not None and vae == self._vae_shown() and file is None:
            vae = None
        try:
            return self._titles.spec(file, components=vae_component(vae))
        except ModelNotFound:
            raise RuntimeFailure(f"VAE {vae!r} not found") from None

    def _model_named(self, name: str) -> ModelFile | None:
        selected = self._titles.selected_model()
        # The usual case, a client that sends back what it has read, costs no search through all models.
        return selected.file if selected is not None and selected.title == name else self._titles.find(name)


def readable_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Of ``given`` what is an option, each in its type; nulls are not given. Raises Unreadable."""
    found: dict[str, Any] = {}
    complaints = []
    for name, value in given.items():
        if name not in settings.DEFAULTS or value is None:
            continue
        try:
            found[name] = settings.check_option(name, value)
        except ValueError as error:
            complaints.append({"loc": ["body", name], "msg": str(error), "type": "value_error"})
    if complaints:
        raise Unreadable(complaints)
    return found


def vae_component(vae: str | None) -> dict[str, str | None]:
    """What the option's value means for a load spec."""
    if vae is None:
        return {}
    if vae.casefold() in ("automatic", "auto"):
        return {"vae": None}
    return {"vae": "" if vae.casefold() == "none" else vae}


def is_there(library: ModelLibrary, kind: str, name: str) -> bool:
    """Whether a file of that type goes by that name."""
    try:
        library.find(kind, name)
    except (ModelNotFound, InvalidRequest):
        return False
    return True
