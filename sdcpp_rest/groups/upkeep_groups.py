"""Builds what keeps the server and its files in order, as `Runtime` offers it as ``upkeep``.

It stands on the other groups; nothing of those needs it. Knows no Flask and no sockets.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdcpp_rest.config import Config
from sdcpp_rest.groups.core_groups import JobServices, ModelServices
from sdcpp_rest.groups.engine_group import EngineServices
from sdcpp_rest.services.dispatch.engine_pool import EnginePool
from sdcpp_rest.services.dispatch.engine_restart import EngineRestart
from sdcpp_rest.services.doctor import Doctor
from sdcpp_rest.services.downloads.card_refreshing import CardRefreshing
from sdcpp_rest.services.downloads.download_submission import DownloadSources
from sdcpp_rest.services.log_reading import LogReading, secrets_of
from sdcpp_rest.services.models.card_editing import CardEditing
from sdcpp_rest.services.models.file_stamps import spec_paths
from sdcpp_rest.services.models.model_changes import ModelChanges
from sdcpp_rest.services.server_status import ServerStatus

if TYPE_CHECKING:
    from sdcpp_rest.groups.language_group import LanguageServices


@dataclass(frozen=True)
class UpkeepServices:
    """What changes model files that are there and what is said of them, and what sets the server right."""

    changes: ModelChanges
    cards: CardEditing
    card_refreshing: CardRefreshing
    restart: EngineRestart
    logs: LogReading
    doctor: Doctor


def build_upkeep(
    config: Config,
    jobs: JobServices,
    models: ModelServices,
    engine: EngineServices,
    language: Callable[[], LanguageServices],
    status: ServerStatus,
    *,
    redact_paths: Callable[[str], str],
) -> UpkeepServices:
    """Build it over the queue, the catalogue, the engine and the language models."""
    cards = CardEditing(models.library, models.cards, jobs.bus)
    changes = ModelChanges(
        models.library, models.cards, models.hashes, jobs.queue, jobs.bus, lambda: _held_files(models, engine.pool)
    )
    source = DownloadSources(config.downloads).civitai
    return UpkeepServices(
        changes=changes,
        cards=cards,
        card_refreshing=CardRefreshing(config.downloads, source, models.hashes, cards),
        restart=EngineRestart(engine.pool, jobs.active),
        doctor=Doctor(
            models.library,
            lambda: engine.supervisor.ready,
            lambda: engine.supervisor.state,
            lambda: models.slot.last_error,
            {"models": config.paths.models_dir, "output": config.paths.output_dir, "data": config.paths.data_dir},
            engines=status.engines.describe,
            is_native=config.engine.runner == "native",
            redact_paths=redact_paths,
            database_trouble=status.database_trouble,
        ),
        logs=LogReading(config.paths.log_dir, lambda: _secrets(config, language()), redact_paths),
    )


def _secrets(config: Config, language: LanguageServices) -> Iterator[str]:
    """All that is known here and must never be shown, as it is now."""
    yield from secrets_of(config)
    yield from (os.environ.get(name, "").strip() for name in ("HF_TOKEN", "CIVITAI_TOKEN"))
    for settings in (language.prompt_enhancer.settings, language.assistant.settings):
        yield settings.endpoint().api_key


def _held_files(models: ModelServices, pool: EnginePool) -> dict[str, str]:
    """The paths of the files that an engine holds, loads or is to load, each with what it is there."""
    holdings = [lane.holding for lane in pool.lanes]
    specs = [(models.slot.selected, "selected"), *((one.loading, "being loaded") for one in holdings)]
    held: dict[str, str] = {}
    for spec, what in (*specs, *((spec, "loaded") for one in holdings for spec in one.specs)):
        if spec is not None:
            held |= dict.fromkeys(spec_paths(spec), f"{what} as a part of {spec.model.name}")
            held[spec.model.path] = f"{what} as the model"
    for upscaler, what in ((models.upscalers.selected, "selected"), *((one.upscaler, "loaded") for one in holdings)):
        if upscaler is not None:
            held[upscaler.model.path] = f"{what} as the upscaler"
    return held
