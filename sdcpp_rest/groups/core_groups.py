"""Builds the services, in the groups that `Runtime` offers as ``jobs``, ``models``, ``engine`` ...

A builder gets what it needs and returns a frozen group; none of them starts anything. Knows no Flask and no sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdcpp_rest.config import Config
from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.events import ModelsChanged
from sdcpp_rest.engine.protocol import Ready
from sdcpp_rest.services.dispatch.engine_calls import EngineCalls
from sdcpp_rest.services.dispatch.holding import Holding
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.dispatch.upscaler_slot import UpscalerSlot
from sdcpp_rest.services.jobs.abandoned_calls import AbandonedCalls
from sdcpp_rest.services.jobs.active_jobs import ActiveJobs
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.jobs.gallery import Gallery
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.jobs.kept_calls import KeptCalls
from sdcpp_rest.services.jobs.picture_history import PictureHistory
from sdcpp_rest.services.jobs.picture_keeping import PictureKeeping
from sdcpp_rest.services.jobs.preview_watch import PreviewWatch
from sdcpp_rest.services.jobs.recycle_bin import RecycleBin
from sdcpp_rest.services.models.encoder_placing import EncoderPlacing
from sdcpp_rest.services.models.fit_estimate import FitEstimates
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.model_cards import ModelCards
from sdcpp_rest.services.models.model_conversion import Conversions
from sdcpp_rest.services.models.model_detection import ModelDetection
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.models.model_upload import ModelUploads
from sdcpp_rest.services.models.wildcards import Wildcards
from sdcpp_rest.services.pictures.gallery_index import GalleryIndex
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.services.pictures.uploaded_pictures import UploadedPictures
from sdcpp_rest.services.settings.dialect_options import DialectOptions
from sdcpp_rest.services.settings.parameter_presets import ParameterPresets
from sdcpp_rest.services.settings.prompt_styles import PromptStyles
from sdcpp_rest.services.settings.user_settings import UserSettings
from sdcpp_rest.store.bin_store import BinStore
from sdcpp_rest.store.call_store import CallStore
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.gallery_store import GalleryStore
from sdcpp_rest.store.hash_store import HashStore
from sdcpp_rest.store.job_store import JobStore
from sdcpp_rest.store.picture_names import PictureNames
from sdcpp_rest.store.preset_store import PresetStore
from sdcpp_rest.store.settings_store import SettingsStore

Redact = Callable[[str], str]


@dataclass(frozen=True)
class SettingsServices:
    """What users change while the server runs."""

    store: SettingsStore
    user: UserSettings
    a1111_options: DialectOptions
    swarm_options: DialectOptions
    prompt_styles: PromptStyles
    presets: ParameterPresets


def build_settings(config: Config, database: Database) -> SettingsServices:
    """Build the settings that outlive a restart, by who changes them."""
    store = SettingsStore(database)
    styles = config.a1111.styles_file or config.paths.data_dir / "styles.csv"
    return SettingsServices(
        store=store,
        user=UserSettings(store, config.housekeeping),
        a1111_options=DialectOptions(store, "a1111"),
        swarm_options=DialectOptions(store, "swarm"),
        prompt_styles=PromptStyles(Path(styles).expanduser()),
        presets=ParameterPresets(PresetStore(database)),
    )


@dataclass(frozen=True)
class JobServices:
    """The queue, what comes of its jobs, and the calls whose callers have gone."""

    bus: EventBus
    active: ActiveJobs
    outputs: Outputs
    queue: JobQueue
    recycle_bin: RecycleBin
    abandoned: AbandonedCalls[Any]
    history: PictureHistory
    picture_keeping: PictureKeeping
    kept_calls: KeptCalls
    uploaded: UploadedPictures
    gallery: Gallery
    previews: PreviewWatch


def build_jobs(config: Config, database: Database, settings: SettingsServices) -> JobServices:
    """Build the queue over the database, the bus, and the folder of outputs."""
    bus, active, store = EventBus(), ActiveJobs(), JobStore(database)
    outputs = Outputs(config.paths.output_dir, config.paths.data_dir / "inputs")
    queue = JobQueue(
        store,
        settings.store,
        bus,
        outputs,
        active,
        max_pending=config.limits.pending_jobs,
        max_requeues=config.queue.max_requeues,
    )
    recycle_bin = RecycleBin(store, BinStore(database), outputs, settings.user)
    abandoned = AbandonedCalls[Any](config.queue.abandoned_grace_seconds, finishes=config.queue.finish_abandoned)
    pictures = GalleryStore(database)
    index = GalleryIndex(pictures, outputs)
    history = PictureHistory(PictureNames(database), queue, outputs, recycle_bin, index.settle)
    return JobServices(
        bus,
        active,
        outputs,
        queue,
        recycle_bin,
        abandoned,
        history,
        PictureKeeping(queue, store, outputs),
        KeptCalls(CallStore(database), most=config.comfyui.prompts),
        UploadedPictures(
            config.paths.data_dir / "uploaded_pictures",
            most_bytes=config.comfyui.uploads_bytes,
            most_days=config.comfyui.uploads_days,
        ),
        Gallery(pictures, index, outputs, queue, recycle_bin, settings.user, bus),
        PreviewWatch(bus),
    )


@dataclass(frozen=True)
class ModelServices:
    """The catalogue of model files. ``slot`` and ``upscalers``: what is selected, and what the engine holds."""

    library: ModelLibrary
    slot: ModelSlot
    upscalers: UpscalerSlot
    detection: ModelDetection
    hashes: ModelHashes
    cards: ModelCards
    uploads: ModelUploads
    conversions: Conversions
    fits: FitEstimates
    wildcards: Wildcards


def build_models(
    config: Config,
    library: ModelLibrary,
    sums: HashStore,
    settings: SettingsServices,
    jobs: JobServices,
    calls: EngineCalls,
    holding: Holding,
    memory: Callable[[], dict[str, Any]],
    ready: Callable[[], Ready | None],
) -> ModelServices:
    """Build the catalogue of model files.

    ``calls`` and ``holding`` are the home engine's, which loads what is selected. ``memory`` is
    `ServerStatus.home_memory`; ``ready`` is what the home engine said of this machine, once there was one.
    """
    slot = ModelSlot(library, settings.store, calls, holding, jobs.queue.pending_bound_to, ready)
    library.encoder_placing = EncoderPlacing(config.models.keep_clip_on_cpu, memory, lambda: holding.specs)
    hashes = ModelHashes(library, sums)
    return ModelServices(
        library=library,
        slot=slot,
        upscalers=UpscalerSlot(library, settings.store, calls, holding),
        detection=ModelDetection(library),
        hashes=hashes,
        cards=ModelCards(library, hashes),
        uploads=ModelUploads(library, config.paths.models_dir, lambda file: tell_added(jobs.bus, file)),
        conversions=Conversions(jobs.queue, library),
        fits=FitEstimates(library, memory, lambda: holding.specs),
        wildcards=Wildcards(config.paths.models_dir, follow_links=config.paths.follow_links),
    )


def tell_added(bus: EventBus, file: ModelFile) -> None:
    """Tell everybody of a model file that is new."""
    bus.publish(ModelsChanged(change="added", model_name=file.name, model_type=file.type))
