"""The native dialect, whole: what `web.app` registers. Errors of paths that no dialect has for itself are native too.

Its pictures are in `routes.root_pictures`, because another dialect shares their paths.
"""

from __future__ import annotations

from collections.abc import Mapping

from sdcpp_rest.routes.http.dialect import NATIVE_ERROR, Dialect, SocketHandler
from sdcpp_rest.routes.native.bootstrap import bootstrap
from sdcpp_rest.routes.native.files.files import files
from sdcpp_rest.routes.native.files.gallery_batch_routes import gallery_batch
from sdcpp_rest.routes.native.files.gallery_routes import gallery
from sdcpp_rest.routes.native.files.metadata_routes import metadata
from sdcpp_rest.routes.native.files.thumbs_routes import thumbs
from sdcpp_rest.routes.native.jobs.adetailer_routes import adetailer
from sdcpp_rest.routes.native.jobs.again_routes import again
from sdcpp_rest.routes.native.jobs.conversion_routes import conversion
from sdcpp_rest.routes.native.jobs.estimate_routes import estimates
from sdcpp_rest.routes.native.jobs.given_routes import given
from sdcpp_rest.routes.native.jobs.group_routes import groups
from sdcpp_rest.routes.native.jobs.previews import previews
from sdcpp_rest.routes.native.jobs.queue import queue
from sdcpp_rest.routes.native.jobs.queue_listing import queue_listing
from sdcpp_rest.routes.native.jobs.recycle_bin_routes import recycle_bin
from sdcpp_rest.routes.native.jobs.upscaling_routes import upscaling
from sdcpp_rest.routes.native.jobs.video_routes import video
from sdcpp_rest.routes.native.language.assistant_routes import assistant
from sdcpp_rest.routes.native.language.ollama_routes import ollama
from sdcpp_rest.routes.native.models.architectures_routes import architectures
from sdcpp_rest.routes.native.models.card_routes import model_cards
from sdcpp_rest.routes.native.models.controlnet_routes import controlnet
from sdcpp_rest.routes.native.models.downloads_routes import downloads
from sdcpp_rest.routes.native.models.model_changes_routes import model_changes
from sdcpp_rest.routes.native.models.model_files_routes import model_files
from sdcpp_rest.routes.native.models.models import models
from sdcpp_rest.routes.native.server.docs import docs
from sdcpp_rest.routes.native.server.engine_routes import engines
from sdcpp_rest.routes.native.server.login_routes import login
from sdcpp_rest.routes.native.server.options_routes import options
from sdcpp_rest.routes.native.server.page_routes import page
from sdcpp_rest.routes.native.server.session_routes import session
from sdcpp_rest.routes.native.server.settings_routes import settings
from sdcpp_rest.routes.native.server.system import system
from sdcpp_rest.routes.native.server.upkeep_routes import upkeep
from sdcpp_rest.routes.native.words.presets_routes import presets
from sdcpp_rest.routes.native.words.prompt_routes import prompt_words
from sdcpp_rest.routes.native.words.styles_routes import styles
from sdcpp_rest.routes.native.words.wildcards_routes import wildcards

_BLUEPRINTS = (
    system,
    login,
    session,
    bootstrap,
    models,
    model_files,
    model_changes,
    model_cards,
    downloads,
    architectures,
    controlnet,
    video,
    upscaling,
    conversion,
    estimates,
    adetailer,
    again,
    given,
    groups,
    queue_listing,
    queue,
    recycle_bin,
    settings,
    options,
    prompt_words,
    styles,
    presets,
    wildcards,
    upkeep,
    engines,
    ollama,
    assistant,
    previews,
    files,
    gallery,
    gallery_batch,
    thumbs,
    metadata,
    docs,
    page,
)


def native_dialect(sockets: Mapping[str, SocketHandler]) -> Dialect:
    """The dialect with what serves its WebSockets, by path."""
    # What lies below /prompt is ComfyUI's else.
    ours = dict.fromkeys(("/prompt/expand", "/prompt/tokens"), NATIVE_ERROR)
    return Dialect("native", blueprints=_BLUEPRINTS, error_shapes=ours, sockets=sockets)
