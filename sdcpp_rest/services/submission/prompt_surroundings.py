"""Answers what the tags of a prompt ask of this server: its wildcards, LoRAs, loaded embeddings and trigger words.

Made anew for each request, so that lists are read once for all of its tags. Parameters and presets are the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.prompt_language.best_match import NameIndex
from sdcpp_rest.core.prompt_language.surroundings import FoundLora, FoundWildcard
from sdcpp_rest.core.trained_words import phrase_of
from sdcpp_rest.errors import InvalidRequest, ModelNotFound, NotFound
from sdcpp_rest.services.model_headers.inspection import inspect_file
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.models.wildcards import Wildcards

HIGH_NOISE = "|high_noise|"
"""Before a LoRA's name in a tag: it is for the first expert of a video model."""
_NOT_IN_TAGS = frozenset(":<>")


class PromptSurroundings:
    """Answers what tags ask for (`core.prompt_language.surroundings.Surroundings`).

    Args:
        spec: the model that will draw, ``None`` where nobody knows yet.
        parameter: the text of a parameter by its id, ``None`` for an unknown one.
        preset: parameters by id of a preset by its title, ``None`` for an unknown one.
        loras: names of LoRAs that were chosen beside the prompt.
    """

    def __init__(
        self,
        library: ModelLibrary,
        wildcards: Wildcards,
        spec: LoadSpec | None,
        *,
        parameter: Callable[[str], str | None],
        preset: Callable[[str], Mapping[str, str] | None],
        loras: Iterable[str] = (),
    ) -> None:
        self._library = library
        self._wildcards = wildcards
        self._spec = spec
        self._chosen_loras = tuple(loras)
        self._found_loras: dict[str, FoundLora | None] = {}
        self.parameter = parameter
        self.preset = preset

    def wildcard(self, name: str) -> FoundWildcard | None:
        """The wildcard that ``name`` means. Raises InvalidRequest for one that is too large."""
        found = self._wildcard_names.find(name)
        if found is None:
            return None
        try:
            return FoundWildcard(found, self._wildcards.read(found).options)
        except NotFound:  # deleted since the list was read
            return None

    def lora(self, name: str) -> FoundLora | None:
        """The LoRA that ``name`` means, under a name that a tag can hold."""
        if name not in self._found_loras:
            self._found_loras[name] = self._find_lora(name)
        return self._found_loras[name]

    def embedding(self, name: str) -> str | None:
        """The word that stands for an embedding which is loaded with the model."""
        return self._embedding_words.find(PurePosixPath(name.replace("\\", "/")).name)

    def triggers(self) -> Sequence[str]:
        """The trigger words of the model and of the LoRAs that were chosen beside the prompt."""
        of_model = [self._trigger_of(self._spec.model.path)] if self._spec is not None else []
        found = [self.lora(name) for name in self._chosen_loras]
        return [*of_model, *(lora.trigger for lora in found if lora is not None)]

    @cached_property
    def _wildcard_names(self) -> NameIndex:
        return NameIndex(self._wildcards.names())

    @cached_property
    def _lora_names(self) -> NameIndex:
        return NameIndex(file.name for file in self._library.files("lora"))

    @cached_property
    def _embedding_words(self) -> NameIndex:
        files = self._spec.embeddings if self._spec is not None else ()
        return NameIndex(PurePosixPath(file.name).stem for file in files)

    def _find_lora(self, name: str) -> FoundLora | None:
        prefix = HIGH_NOISE if name.startswith(HIGH_NOISE) else ""
        wanted: str | None = name.removeprefix(prefix).strip()
        for _ in range(2):
            if not wanted or _NOT_IN_TAGS & set(wanted):
                return None
            try:
                file = self._library.find("lora", wanted)
            except (ModelNotFound, InvalidRequest):
                wanted = self._lora_names.find(wanted)
                continue
            return None if _NOT_IN_TAGS & set(file.name) else FoundLora(prefix + file.name, self._trigger_of(file.path))
        return None

    def _trigger_of(self, path: str) -> str:
        """What the sidecar of a model file says to write, or else the file itself."""
        sidecar = self._library.sidecar(path)
        if sidecar is not None and sidecar.activation_text.strip():
            return sidecar.activation_text
        try:
            return phrase_of(inspect_file(path).metadata)
        except (InvalidRequest, OSError):  # whoever loads it says what is wrong with it
            return ""
