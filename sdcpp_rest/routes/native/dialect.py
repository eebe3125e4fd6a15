"""The native dialect, in parts: which views answer at which paths. Each part is imported by its first request. Errors
of paths that no dialect has for itself are native too.

Its pictures are in `routes.root_pictures`, because another dialect shares their paths; its WebSockets are the shell's.
"""

from __future__ import annotations

from sdcpp_rest.routes.http.dialect import NATIVE_ERROR, Dialect
from sdcpp_rest.routes.http.late_dialect import LateDialect, find_object

# What lies below /prompt is ComfyUI's else.
_NATIVE_ERRORS = dict.fromkeys(("/prompt/expand", "/prompt/tokens"), NATIVE_ERROR)


def _part(paths: str, *blueprints: str) -> LateDialect:
    """The views of ``blueprints`` (``module:name`` in this room), which answer at ``paths``."""

    def load() -> Dialect:
        views = tuple(find_object(f"sdcpp_rest.routes.native.{place}") for place in blueprints)
        return Dialect("native", views, {path: NATIVE_ERROR for path in _NATIVE_ERRORS if part.covers(path)})

    part = LateDialect(tuple(paths.split()), load)
    return part


NATIVE = (
    _part("/ /favicon.ico /health /memory /metrics /options", "server.system:system"),
    _part(
        "/auth/ /login /session /ui/bootstrap",
        "server.login_routes:login",
        "server.session_routes:session",
        "bootstrap:bootstrap",
    ),
    _part(
        "/models/ /architectures/ /controlnet/",
        "models.models:models",
        "models.model_files_routes:model_files",
        "models.model_changes_routes:model_changes",
        "models.card_routes:model_cards",
        "models.downloads_routes:downloads",
        "models.architectures_routes:architectures",
        "models.controlnet_routes:controlnet",
    ),
    _part(
        "/txt2vid /upscale /upscaler/ /convert /estimate /adetailer/",
        "jobs.video_routes:video",
        "jobs.upscaling_routes:upscaling",
        "jobs.conversion_routes:conversion",
        "jobs.estimate_routes:estimates",
        "jobs.adetailer_routes:adetailer",
    ),
    _part(
        "/jobs/ /groups/ /queue/",
        "jobs.again_routes:again",
        "jobs.given_routes:given",
        "jobs.group_routes:groups",
        "jobs.queue_listing:queue_listing",
        "jobs.queue:queue",
        "jobs.recycle_bin_routes:recycle_bin",
    ),
    _part("/settings/ /options/", "server.settings_routes:settings", "server.options_routes:options"),
    _part(
        "/prompt/ /styles/ /ui/presets/ /wildcards/",
        "words.prompt_routes:prompt_words",
        "words.styles_routes:styles",
        "words.presets_routes:presets",
        "words.wildcards_routes:wildcards",
    ),
    _part(
        "/audit /engine/ /engines /engines/ /logs/ /system/",
        "server.upkeep_routes:upkeep",
        "server.audit_routes:audit",
        "server.engine_routes:engines",
    ),
    _part("/ollama/ /assistant/", "language.ollama_routes:ollama", "language.assistant_routes:assistant"),
    _part("/preview/", "jobs.previews:previews"),
    _part(
        "/output/ /gallery/ /thumb/ /metadata/",
        "files.files:files",
        "files.gallery_routes:gallery",
        "files.gallery_batch_routes:gallery_batch",
        "files.thumbs_routes:thumbs",
        "files.metadata_routes:metadata",
    ),
    _part("/docs/ /openapi.json /ui/", "server.docs:docs", "server.page_routes:page"),
)
"""All of it. Blueprints are in the order in which the API's document lists them."""
