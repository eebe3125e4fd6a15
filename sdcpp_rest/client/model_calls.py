"""Lists model files, brings them in, and loads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from sdcpp_rest.client.calls import Call
from sdcpp_rest.client.model_upload import ModelUpload
from sdcpp_rest.client.steps import Request
from sdcpp_rest.client.wire.jobs import UpscalerBody, UpscalerGone, UpscalerShown
from sdcpp_rest.client.wire.model_cards import CardBody, CardPreviewBody, CardPreviewGone, CardShown
from sdcpp_rest.client.wire.model_files import (
    CivitaiShown,
    FitQuery,
    FitShown,
    HuggingFaceShown,
    InspectedShown,
    ModelBody,
    ModelDeleted,
    ModelMoved,
    ModelPaths,
    RecommendedQuery,
    RecommendedShown,
    Refreshed,
    UploadedShown,
)
from sdcpp_rest.client.wire.models import (
    ArchitecturesShown,
    ControlNetChanged,
    ControlNetStatus,
    DetectionShown,
    HashShown,
    LoadBody,
    Loaded,
    LoadStarted,
    ModelsQuery,
    ModelsShown,
    Unloaded,
)


class ModelCalls:
    """Asks about model files by their type and name, as `list_models` tells them."""

    @Call
    def list_models(self, **query: Unpack[ModelsQuery]) -> Request[ModelsShown]:
        """List model files by type."""
        return Request(ModelsShown, "GET", "/models", query=query)

    @Call
    def load_model(self, *, timeout: float | None = None, **fields: Unpack[LoadBody]) -> Request[Loaded]:
        """Load a model, select it for the jobs to come, and wait until it is there; WaitTimeout after ``timeout``
        seconds, while the load goes on."""
        query = {"timeout": timeout}
        return Request(Loaded, "POST", "/models/load", query=query, body=fields, is_long=True)

    @Call
    def begin_load(self, **fields: Unpack[LoadBody]) -> Request[LoadStarted]:
        """Load a model without waiting for it: its end is an event, and told by `health`."""
        return Request(LoadStarted, "POST", "/models/load", query={"wait": False}, body=fields, is_long=True)

    @Call
    def unload_model(self, model_name: str | None = None, *, force: bool | None = None) -> Request[Unloaded]:
        """Free the loaded model, or the one that is named, wherever it is. Conflict while jobs need the selected one,
        unless ``force``."""
        body = {"force": force, "model_name": model_name}
        return Request(Unloaded, "POST", "/models/unload", body=body, is_long=True)

    @Call
    def hash_model(self, model_type: str, model_name: str) -> Request[HashShown]:
        """Tell a model file's SHA-256, which the first time takes seconds for large files."""
        places = {"model_type": model_type, "model_name": model_name}
        return Request(HashShown, "GET", "/models/hash/{model_type}/{model_name}", places, is_long=True)

    @Call
    def inspect_model(self, model_type: str, model_name: str) -> Request[InspectedShown]:
        """Tell what is in a model file."""
        places = {"model_type": model_type, "model_name": model_name}
        return Request(InspectedShown, "GET", "/models/{model_type}/{model_name}/inspect", places, is_long=True)

    @Call
    def fit_model(self, model_type: str, model_name: str, **query: Unpack[FitQuery]) -> Request[FitShown]:
        """Estimate the memory that a model and a picture of some size take."""
        places = {"model_type": model_type, "model_name": model_name}
        # File names may have commas, at which lists are cut in other queries.
        asked: dict[str, Any] = {**query, "component": tuple(query.get("component", ()))}
        return Request(FitShown, "GET", "/models/{model_type}/{model_name}/fit", places, asked, is_long=True)

    @Call
    def show_model_card(self, model_type: str, model_name: str) -> Request[CardShown]:
        """Tell what a model is: title, trigger words, licence and the like, and who says so."""
        places = {"model_type": model_type, "model_name": model_name}
        return Request(CardShown, "GET", "/models/{model_type}/{model_name}/card", places, is_long=True)

    @Call
    def write_model_card(self, model_type: str, model_name: str, **fields: Unpack[CardBody]) -> Request[CardShown]:
        """Write what a model is into the sidecar beside it; what is empty is taken out."""
        places = {"model_type": model_type, "model_name": model_name}
        return Request(CardShown, "PUT", "/models/{model_type}/{model_name}/card", places, body=fields, is_long=True)

    @Call
    def refresh_model_card(self, model_type: str, model_name: str) -> Request[CardShown]:
        """Ask CivitAI what a model is, by its sum; NotAllowed unless the server's settings say so."""
        places = {"model_type": model_type, "model_name": model_name}
        return Request(CardShown, "POST", "/models/{model_type}/{model_name}/card/refresh", places, is_long=True)

    @Call
    def model_preview(self, model_type: str, model_name: str) -> Request[bytes]:
        """Get the picture that lies beside a model, as a small JPEG."""
        places = {"model_type": model_type, "model_name": model_name}
        return Request(bytes, "GET", "/models/{model_type}/{model_name}/preview", places, is_long=True)

    @Call
    def write_model_preview(
        self, model_type: str, model_name: str, **fields: Unpack[CardPreviewBody]
    ) -> Request[CardShown]:
        """Put a picture beside a model: ``output``, a finished one of the server's, or ``image``, one in base64."""
        places = {"model_type": model_type, "model_name": model_name}
        return Request(CardShown, "PUT", "/models/{model_type}/{model_name}/preview", places, body=fields, is_long=True)

    @Call
    def delete_model_preview(self, model_type: str, model_name: str) -> Request[CardPreviewGone]:
        """Delete the pictures beside a model."""
        places = {"model_type": model_type, "model_name": model_name}
        return Request(CardPreviewGone, "DELETE", "/models/{model_type}/{model_name}/preview", places, is_long=True)

    @Call
    def change_model(self, model_type: str, model_name: str, **fields: Unpack[ModelBody]) -> Request[ModelMoved]:
        """Rename a model or move it to another folder or type, with all that lies beside it. Conflict while it is
        needed."""
        places = {"model_type": model_type, "model_name": model_name}
        return Request(ModelMoved, "PATCH", "/models/{model_type}/{model_name}", places, body=fields, is_long=True)

    @Call
    def delete_model(self, model_type: str, model_name: str, confirm: str) -> Request[ModelDeleted]:
        """Delete a model for good, with all that lies beside it; ``confirm`` is its file's name. Conflict while it is
        needed."""
        places, query = {"model_type": model_type, "model_name": model_name}, {"confirm": confirm}
        return Request(ModelDeleted, "DELETE", "/models/{model_type}/{model_name}", places, query, is_long=True)

    @Call
    def refresh_models(self) -> Request[Refreshed]:
        """Scan the model folders again."""
        return Request(Refreshed, "POST", "/models/refresh", is_long=True)

    @Call
    def show_model_paths(self) -> Request[ModelPaths]:
        """Tell the folder of each type of model."""
        return Request(ModelPaths, "GET", "/models/paths")

    @Call
    def upload_model(
        self,
        file: str | Path,
        model_type: str,
        *,
        name: str | None = None,
        subfolder: str | None = None,
        overwrite: bool = False,
        report: Callable[[int, int], None] | None = None,
    ) -> Request[UploadedShown]:
        """Bring a model file in, read from the disk piece by piece.

        Args:
            name: what to call it; by default as it is called here.
            report: called with the bytes that were sent, and how many there are; from a thread, where it is awaited.
        """
        upload = ModelUpload(Path(file), report)
        query = {
            "type": model_type,
            "name": name or Path(file).name,
            "subfolder": subfolder,
            "overwrite": overwrite or None,
        }
        return Request(UploadedShown, "POST", "/models/upload", query=query, upload=upload, is_long=True)

    @Call
    def show_civitai_model(self, model_id: str) -> Request[CivitaiShown]:
        """Ask CivitAI about a model: ``123``, or ``123:456`` with a version."""
        return Request(CivitaiShown, "GET", "/models/civitai/{model_id}", {"model_id": model_id}, is_long=True)

    @Call
    def show_huggingface_file(self, repo_id: str, filename: str, revision: str = "main") -> Request[HuggingFaceShown]:
        """Ask Hugging Face about a file of a repository."""
        query = {"repo_id": repo_id, "filename": filename, "revision": revision}
        return Request(HuggingFaceShown, "GET", "/models/huggingface", query=query, is_long=True)

    @Call
    def list_recommended_models(self, **query: Unpack[RecommendedQuery]) -> Request[RecommendedShown]:
        """List models to begin with, each with the files that it needs."""
        return Request(RecommendedShown, "GET", "/models/recommended", query=query)

    @Call
    def list_architectures(self) -> Request[ArchitecturesShown]:
        """List families of models with their needs and defaults."""
        return Request(ArchitecturesShown, "GET", "/architectures")

    @Call
    def detect_architecture(self, model: str, model_type: str | None = None) -> Request[DetectionShown]:
        """Tell what a model file is, and which other files would go with it."""
        query = {"model": model, "type": model_type}
        return Request(DetectionShown, "GET", "/architectures/detect", query=query, is_long=True)

    @Call
    def show_controlnet(self) -> Request[ControlNetStatus]:
        """Tell which ControlNet is loaded with the model."""
        return Request(ControlNetStatus, "GET", "/controlnet/status")

    @Call
    def load_controlnet(self, controlnet: str, *, force: bool | None = None) -> Request[ControlNetChanged]:
        """Load the selected model again with another ControlNet. Conflict while jobs run or wait, unless ``force``."""
        body = {"controlnet": controlnet, "force": force}
        return Request(ControlNetChanged, "POST", "/controlnet/load", body=body, is_long=True)

    @Call
    def unload_controlnet(self, *, force: bool | None = None) -> Request[ControlNetChanged]:
        """Load the selected model again without its ControlNet. Conflict while jobs run or wait, unless ``force``."""
        return Request(ControlNetChanged, "POST", "/controlnet/unload", body={"force": force}, is_long=True)

    @Call
    def load_upscaler(self, **fields: Unpack[UpscalerBody]) -> Request[UpscalerShown]:
        """Load an upscaler, and wait until it is there."""
        return Request(UpscalerShown, "POST", "/upscaler/load", body=fields, is_long=True)

    @Call
    def unload_upscaler(self) -> Request[UpscalerGone]:
        """Free the upscaler."""
        return Request(UpscalerGone, "POST", "/upscaler/unload", is_long=True)
