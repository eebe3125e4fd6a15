"""The options of AUTOMATIC1111's clients over the server's state: what they read, and what a change of them does to the
model. Shared by the routes of this dialect; knows no request body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound, NoModelLoaded
from sdcpp_rest.routes.a1111 import settings as settings
from sdcpp_rest.routes.a1111.errors import RuntimeFailure, Unreadable

if TYPE_CHECKING:
    from sdcpp_rest.runtime import Runtime

AUTOMATIC, NONE = "Automatic", "None"
_READ_OFF = (settings.CHECKPOINT, settings.CHECKPOINT_HASH, settings.VAE)


def list_options(house: Runtime) -> dict[str, Any]:
    """Every option. What is selected is told by its title, as the list of models has it."""
    stored = house.a1111_options.get()
    selected = house.titles.selected_model()
    return {
        **settings.DEFAULTS,
        **{name: value for name, value in stored.items() if name in settings.DEFAULTS},
        settings.CHECKPOINT: selected.title if selected else "",
        settings.CHECKPOINT_HASH: (selected.sha256 or "") if selected else "",
        settings.VAE: vae_shown(house),
    }


def vae_shown(house: Runtime) -> str:
    """The option sd_vae: what somebody chose, as long as that is what is selected."""
    chosen = house.a1111_options.get().get(settings.VAE, AUTOMATIC)
    spec = house.models.selected
    loaded = spec.components.get("vae") if spec is not None else None
    if chosen == NONE and loaded is None:
        return NONE
    return str(chosen) if loaded is not None and chosen == loaded.name else AUTOMATIC


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


def change_options(house: Runtime, given: Mapping[str, Any]) -> None:
    """Set options; blocks until a model that they choose is loaded.

    Raises RuntimeFailure for a model that is not there, Unreadable, LoadFailed, EngineDied, EngineUnavailable.
    """
    wanted = readable_options(given)
    spec = _spec_to_select(house, wanted)
    # Not loaded again for every client that sends everything back: that would wait for whatever is being drawn.
    is_missing = bool(wanted.get(settings.CHECKPOINT)) and house.models.resident is None
    if spec is not None and (spec != house.models.selected or is_missing):
        file = house.titles.of(spec.model)
        house.models.select(spec).result()
        if file is not None:
            house.titles.begin_sum(file.file)
            house.titles.sum_of(file.file, house.config.a1111.hash_patience_seconds)
    kept = {
        name: value for name, value in wanted.items() if name not in (settings.CHECKPOINT, settings.CHECKPOINT_HASH)
    }
    stored = house.a1111_options.get()
    # Clients send everything back that they have read: what is a default is not worth a row.
    house.a1111_options.put(
        {name: value for name, value in kept.items() if stored.get(name, settings.DEFAULTS[name]) != value}
    )


def _spec_to_select(house: Runtime, wanted: Mapping[str, Any]) -> LoadSpec | None:
    """What is to be selected after such a change; ``None``: what is selected already."""
    name = wanted.get(settings.CHECKPOINT) or ""
    file = _model_named(house, name) if name else None
    if name and file is None:
        raise RuntimeFailure(f"model {name[:200]!r} not found")
    vae = wanted.get(settings.VAE)
    if vae is not None and vae == vae_shown(house) and file is None:
        vae = None
    try:
        return house.titles.spec(file, components=vae_component(vae))
    except ModelNotFound:
        raise RuntimeFailure(f"VAE {vae!r} not found") from None


def _model_named(house: Runtime, name: str) -> ModelFile | None:
    selected = house.titles.selected_model()
    # The usual case, a client that sends back what it has read, costs no search through all models.
    return selected.file if selected is not None and selected.title == name else house.titles.find(name)


def vae_component(vae: str | None) -> dict[str, str | None]:
    """What the option's value means for a load spec."""
    if vae is None:
        return {}
    if vae.casefold() in ("automatic", "auto"):
        return {"vae": None}
    return {"vae": "" if vae.casefold() == "none" else vae}


def read_overrides(house: Runtime, overrides: Mapping[str, Any], ignored: list[str]) -> tuple[dict[str, Any], LoadSpec]:
    """The options and the load spec of one call with ``overrides``; what they cannot do is added to ``ignored``.

    A model that nobody knows is passed over, as those programs do. Raises NoModelLoaded, InvalidRequest.
    """
    stored = {name: value for name, value in house.a1111_options.get().items() if name in settings.DEFAULTS}
    options = {**settings.DEFAULTS, **stored}
    changes: dict[str, Any] = {}
    for name, value in overrides.items():
        try:
            if name in settings.DEFAULTS and value is not None:
                changes[name] = settings.check_option(name, value)
        except ValueError:
            ignored.append(f"override_settings.{name}")
            continue
        if name not in settings.EFFECTIVE and options.get(name) != value:
            ignored.append(f"override_settings.{name[:100]}")
    checkpoint = str(changes.get(settings.CHECKPOINT) or "")
    file = _model_named(house, checkpoint) if checkpoint else None
    vae = changes.get(settings.VAE)
    if vae is not None and vae == vae_shown(house) and file is None:
        vae = None
    try:
        spec = house.titles.spec(file, components=vae_component(vae))
    except (ModelNotFound, InvalidRequest):
        if vae is None:
            raise
        ignored.append(f"override_settings.{settings.VAE}")
        spec = house.titles.spec(file)
    if spec is None:
        raise NoModelLoaded("No model loaded; choose one with the option sd_model_checkpoint")
    return {**options, **changes}, spec
