"""Asks CivitAI what a model file is, by its sum, and keeps the answer beside it. Only where the settings allow it: the
question tells somebody else which files there are.

Must not know what a card is made of.
"""

from __future__ import annotations

from typing import Any

from sdcpp_rest.config import DownloadsConfig
from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.errors import NotAllowed, SdcppRestError
from sdcpp_rest.services.downloads.civitai_source import CivitaiSource
from sdcpp_rest.services.models.card_editing import CardEditing
from sdcpp_rest.services.models.hashing import ModelHashes

_SETTING = "downloads.civitai_cards"
_KEPT_OF_VERSION = ("id", "modelId", "name", "baseModel", "baseModelType", "trainedWords", "description", "publishedAt",
                    "createdAt", "updatedAt", "downloadUrl")  # fmt: skip
_KEPT_OF_MODEL = ("name", "type", "nsfw", "poi", "description", "tags", "allowNoCredit", "allowCommercialUse",
                  "allowDerivatives", "allowDifferentLicense")  # fmt: skip
_MOST_TEXT = 100_000


class CardRefreshing:
    """Asks CivitAI about model files. Thread-safe."""

    def __init__(
        self, config: DownloadsConfig, source: CivitaiSource, hashes: ModelHashes, editing: CardEditing
    ) -> None:
        self._config = config
        self._source = source
        self._hashes = hashes
        self._editing = editing

    def refresh(self, file: ModelFile) -> None:
        """Keep what CivitAI says of a model beside its file; blocks while its sum is computed, where that is not known.

        Raises NotAllowed while the settings forbid it, FolderOnlyRead, SourceNotFound, SourceUnavailable,
        CardNotStored, and as `ModelHashes.hash_of`.
        """
        if not self._config.civitai_cards:
            raise NotAllowed(f"Asking CivitAI about model files is off: set {_SETTING}", setting=_SETTING)
        self._editing.check_writable(file)
        version = self._source.describe_sum(self._hashes.sum_of(file))
        model = version.get("model")
        about: dict[str, Any] = dict(model) if isinstance(model, dict) else {}
        whole = self._ask_model(version.get("modelId"))
        creator = whole.get("creator") or version.get("creator")
        username = creator.get("username") if isinstance(creator, dict) else None
        kept = _small(version, _KEPT_OF_VERSION)
        kept["model"] = _small({**about, **whole}, _KEPT_OF_MODEL)
        if isinstance(username, str):
            kept["creator"] = {"username": username[:200]}
        self._editing.keep_civitai(file, kept)

    def _ask_model(self, model_id: Any) -> dict[str, Any]:
        """What it says of the model that the version is of: its description and its tags. The version alone will do."""
        if not isinstance(model_id, int) or isinstance(model_id, bool):
            return {}
        try:
            return self._source.describe_model(model_id)
        except SdcppRestError:
            return {}


def _small(given: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Those entries whose size is told by their kind: texts are cut, lists hold short texts."""
    kept: dict[str, Any] = {}
    for name in names:
        value = given.get(name)
        if isinstance(value, str):
            kept[name] = value[:_MOST_TEXT]
        elif isinstance(value, list):
            kept[name] = [one[:1_000] for one in value[:100] if isinstance(one, str)]
        elif isinstance(value, (bool, int, float)):
            kept[name] = value
    return kept
