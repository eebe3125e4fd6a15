"""Finds the model that a request names, and makes the load spec that its job binds to.

Names are what other programs send: a title, a file name, a path, a stem, a SHA-256 or its beginning. Knows the library,
the sums and the selection; must not know who asks.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from sdcpp_rest.core.catalog import ModelFile, ModelType, Sidecar
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import Conflict, InvalidRequest, ModelNotFound
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec
from sdcpp_rest.services.models.model_detection import Detection, ModelDetection
from sdcpp_rest.services.models.model_library import ModelLibrary

PICTURE_MODELS: tuple[ModelType, ...] = ("checkpoint", "diffusion")

# "name.safetensors [0123456789]"
_TITLE = re.compile(r"^(?P<name>.+?)\s*\[(?P<sum>[0-9a-fA-F]{10,64})\]$")
_WHOLE_SUM = re.compile(r"^[0-9a-fA-F]{64}$")
_DECODERS = ("vae", "taesd")
"""Either does where one of them is needed."""


class ModelChoice:
    """Finds the model that a request names and makes the load spec of its job.

    Thread-safe.
    """

    def __init__(self, library: ModelLibrary, models: ModelSlot, hashes: ModelHashes) -> None:
        self._library = library
        self._models = models
        self._hashes = hashes

    def spec_named(self, name: str) -> LoadSpec:
        """The spec of the model that ``name`` means: the selected one, with its options, if that is meant.

        Reads files that were never hashed when ``name`` is a whole SHA-256. Raises ModelNotFound, InvalidRequest (means
        several, or cannot be loaded).
        """
        file = self.find(PICTURE_MODELS, name)
        selected = self._models.selected
        if selected is not None and selected.model.path == file.path:
            return selected
        return build_spec(self._library, LoadRequest(model_name=file.name, model_type=_loadable(file.type)))[0]

    def spec_with_parts(self, name: str, detection: ModelDetection) -> tuple[LoadSpec, list[str]]:
        """As `spec_named`. Parts that the model cannot do without and that no sidecar names are those of the files here
        that fit best, told in a sentence.

        Raises ModelNotFound, InvalidRequest (also where there is no file for such a part).
        """
        try:
            return self.spec_named(name), []
        except InvalidRequest as error:
            if "faults" not in error.detail:
                raise
            file = self.find(PICTURE_MODELS, name)
            sidecar = self._library.sidecar(file.path) or Sidecar()
            parts = _choose_parts(detection.detect(file.name, file.type), sidecar.components.keys())
            if not parts:
                raise
        asked = LoadRequest(model_name=file.name, model_type=_loadable(file.type), components=parts)
        told = ", ".join(f"{role} {part}" for role, part in parts.items())
        return build_spec(self._library, asked)[0], [f"{file.name} draws with these files, which fit it: {told}."]

    def find(self, kinds: tuple[ModelType, ...], name: str) -> ModelFile:
        """The file of one of these types that ``name`` means. Raises ModelNotFound, InvalidRequest."""
        title = _TITLE.match(name.strip())
        wanted = title["name"] if title else name
        nearest: list[str] = []
        for kind in kinds:
            try:
                return self._library.find(kind, wanted)
            except ModelNotFound as error:
                nearest += error.detail.get("nearest", [])
        if _WHOLE_SUM.match(wanted):
            file = self._with_sum(kinds, wanted.lower())
            if file is not None:
                return file
        raise ModelNotFound(f"Model not found: {name}", nearest=nearest[:3])

    def _with_sum(self, kinds: tuple[ModelType, ...], sha256: str) -> ModelFile | None:
        """Known sums were looked at by the library. Every other file is read once, and never again."""
        known = self._hashes.known_sums()
        for kind in kinds:
            for files in self._library.list(kind).values():
                for file in files:
                    if known.get(file.path, file.size_bytes, file.mtime_ns) is not None:
                        continue
                    try:
                        hashed = self._hashes.hash_of(kind, file.name)
                    except (ModelNotFound, Conflict):
                        continue
                    if hashed.hash == sha256:
                        return hashed
        return None


def _loadable(kind: ModelType) -> str:
    return "diffusion" if kind == "diffusion" else "checkpoint"


def _choose_parts(found: Detection, named: Collection[str]) -> dict[str, str]:
    """The file that fits best as each part that is needed, is not inside, and that nobody has ``named``."""
    chosen: dict[str, str] = {}
    for role in found.preset.required if found.preset else ():
        stand_ins = _DECODERS if role in _DECODERS else (role,)
        if role in found.inside or any(one in named for one in stand_ins):
            continue
        fitting = next((one for one in stand_ins if found.suggestions.get(one)), None)
        if fitting is not None:
            chosen[fitting] = found.suggestions[fitting][0].name
    return chosen
