"""Lists models as dialects of picture tools name them: by a title with the beginning of the file's SHA-256, checkpoints
and diffusion models together; and makes load specs from such choices.

Sums are computed beside the work, never in anybody's way. Knows the library and what is selected; loads nothing itself.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.load_checks import check_loadable
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.submission.model_choice import PICTURE_MODELS, ModelChoice

log = logging.getLogger(__name__)

SHORT = 10
"""Characters of a sum that are shown in titles."""

_TITLE = re.compile(r"^(?P<name>.*?)\s*\[(?P<sum>[0-9a-fA-F]{8,64})\]$")


@dataclass(frozen=True)
class TitledModel:
    """A model and the title it goes by. ``sha256`` is ``None`` until it has been computed."""

    file: ModelFile
    sha256: str | None

    @property
    def short_hash(self) -> str | None:
        return self.sha256[:SHORT] if self.sha256 else None

    @property
    def title(self) -> str:
        return f"{self.file.name} [{self.short_hash}]" if self.sha256 else self.file.name


class ModelTitles:
    """Lists models by the titles that AUTOMATIC1111-like tools show, and finds them by one.

    Thread-safe.
    """

    def __init__(self, library: ModelLibrary, hashes: ModelHashes, models: ModelSlot, choice: ModelChoice) -> None:
        self._choice = choice
        self._library = library
        self._hashes = hashes
        self._models = models
        self._lock = threading.Lock()
        self._begun: dict[str, threading.Event] = {}

    # --- names ------------------------------------------------------------------------------------------------------

    def all(self) -> list[TitledModel]:
        """Every model that can be chosen, by name."""
        listed, known = self._library.list(), self._hashes.known_sums()
        files = [*listed["checkpoints"], *listed["diffusion_models"]]
        return [TitledModel(file, known.get(file.path, file.size_bytes, file.mtime_ns)) for file in files]

    def selected_model(self) -> TitledModel | None:
        """The model that is chosen now; ``None`` for none, or for one whose file is gone."""
        spec = self._models.selected
        return self.of(spec.model) if spec is not None else None

    def of(self, model: FileRef, *kinds: str) -> TitledModel | None:
        """The title of a file of a load spec: its main one, or one of ``kinds`` (``vae``, ``lora``)."""
        for kind in kinds or PICTURE_MODELS:
            try:
                file = self._library.find(kind, model.name)
            except (ModelNotFound, InvalidRequest):
                continue
            if file.path == model.path:
                return TitledModel(file, self._hashes.known_sum(file))
        return None

    def find(self, name: str) -> ModelFile | None:
        """The model that a title, a name, a stem, or the beginning of a sum means; ``None`` for what nobody knows."""
        title = _TITLE.match(name.strip())
        for wanted in (name, title["sum"] if title else ""):
            try:
                return self._choice.find(PICTURE_MODELS, wanted)
            except (ModelNotFound, InvalidRequest):
                # Also for names that are none, and those that mean several: no reason to refuse a picture.
                continue
        return None

    # --- sums -------------------------------------------------------------------------------------------------------

    def begin_sum(self, file: ModelFile) -> None:
        """Have a file's sum computed on a thread of its own, unless it is known or under way."""
        if self._hashes.known_sum(file) is not None:
            return
        with self._lock:
            if file.path in self._begun:
                return
            done = self._begun[file.path] = threading.Event()
        threading.Thread(target=self._sum, args=(file, done), name="model-sum", daemon=True).start()

    def sum_of(self, file: ModelFile, patience_seconds: float = 0.0) -> str | None:
        """A file's sum if it is known, or becomes known in time."""
        with self._lock:
            done = self._begun.get(file.path)
        if done is not None and patience_seconds > 0:
            done.wait(patience_seconds)
        return self._hashes.known_sum(file)

    def _sum(self, file: ModelFile, done: threading.Event) -> None:
        try:
            self._hashes.hash_of(file.type, file.name)
        except Exception as error:  # it is a decoration; the server may also be stopping
            log.info("no sum of %s: %s", file.name, error)
        finally:
            with self._lock:
                self._begun.pop(file.path, None)
            done.set()

    # --- load specs -------------------------------------------------------------------------------------------------

    def spec(
        self,
        file: ModelFile | None = None,
        *,
        components: Mapping[str, str | None] | None = None,
        circular: bool | None = None,
    ) -> LoadSpec | None:
        """The load spec of the selected model, or of ``file``, with some things changed; ``None`` when nothing is
        selected.

        Args:
            components: role -> file name; an empty one takes the component out, ``None`` leaves it to the model.
            circular: draw pictures whose edges meet.

        Raises ModelNotFound, InvalidRequest, NotSupported.
        """
        selected = self._models.selected
        if file is None or (selected is not None and selected.model.path == file.path):
            spec = selected
        else:
            request = LoadRequest(model_name=file.name, model_type=file.type, components=dict(components or {}))
            spec, components = build_spec(self._library, request)[0], None
        return self.spec_of(spec, components=components or {}, circular=circular) if spec is not None else None

    def spec_of(
        self, spec: LoadSpec, *, components: Mapping[str, str | None], circular: bool | None = None
    ) -> LoadSpec:
        """``spec`` with some things changed, as `spec` says it."""
        changed = self._with_components(spec, components)
        if circular is not None and (changed.options.circular_x, changed.options.circular_y) != (circular, circular):
            options = changed.options.model_copy(update={"circular_x": circular, "circular_y": circular})
            changed = changed.model_copy(update={"options": options})
        if changed != spec:
            check_loadable(changed)
        return changed

    def _with_components(self, spec: LoadSpec, wanted: Mapping[str, str | None]) -> LoadSpec:
        kept = dict(spec.components)
        natural: LoadSpec | None = None
        for role, name in wanted.items():
            if name is None:
                if natural is None:
                    natural = build_spec(self._library, LoadRequest(model_name=spec.model.name, model_type=spec.kind))[
                        0
                    ]
                own = natural.components.get(role)
                kept.pop(role, None)
                if own is not None:
                    kept[role] = own
            elif not name:
                kept.pop(role, None)
            else:
                found = self._library.find(role, name)
                kept[role] = FileRef(name=found.name, path=found.path)
        if kept == dict(spec.components):
            return spec
        return spec.model_copy(update={"components": {role: kept[role] for role in sorted(kept)}})
