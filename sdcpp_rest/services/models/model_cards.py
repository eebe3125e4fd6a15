"""Tells of every model file what people choose by: what it is, who made it, its trigger words, its preview.

Reads headers, for a bounded time in one call: what was seen is remembered, so that the next call goes on where this one
stopped. It must not load anything, nor know who asks.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sdcpp_rest.core.architectures import Contents
from sdcpp_rest.core.catalog import ModelFile, ModelType, Sidecar
from sdcpp_rest.core.trained_words import phrase_of
from sdcpp_rest.core.variants import variant
from sdcpp_rest.services.model_headers.inspection import NotAModel, inspect_parts
from sdcpp_rest.services.models.files_beside import BesideFile, FilesBeside, FolderContents, read_notes, stem_path
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.model_library import KnownSums, ModelLibrary

READ_SECONDS = 2.0
"""For which a call reads headers that were not read before; a large one takes tens of milliseconds."""

_PREFIX = "modelspec."
_OTHER_NOTES = frozenset(
    {"ss_base_model_version", "title", "author", "description", "license", "trigger_phrase", "ss_output_name"}
    | {f"general.{name}" for name in ("name", "author", "description", "license", "version", "url", "source.url")}
    | {"general.base_model.0.name"}
)
_MAX_REMEMBERED = 20_000
_MAX_NOTE_CHARACTERS = 20_000


@dataclass(frozen=True)
class HeaderFacts:
    """What a model's header says. ``architecture`` and ``preset`` are ids, ``None`` where the family is not known;
    ``notes`` are as a `ModelCard` has them."""

    contents: Contents
    architecture: str | None
    preset: str | None
    parameter_count: int
    notes: Mapping[str, str]
    trained_words: tuple[str, ...]
    trigger_phrase: str


@dataclass(frozen=True, eq=False)
class ModelCard:
    """One model file and what is known of it. The same object while nothing of that changes, and equal to no other:
    what is made of a card may be kept by it.

    ``header`` is ``None`` while it has not been read, and for files that are damaged. ``notes`` are the header's and
    the noted words about the model, by their names without ``modelspec.``; those beside the file win.
    """

    file: ModelFile
    header: HeaderFacts | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    sidecar: Sidecar | None = None
    preview: BesideFile | None = None
    sha256: str | None = None

    @property
    def stem(self) -> str:
        """The file's name without folders and ending."""
        return os.path.splitext(self.file.name.rsplit("/", 1)[-1])[0]

    @property
    def title(self) -> str:
        """What people call it: as its notes or its sidecar say, else the file's name."""
        noted = self.notes.get("title", "")
        return noted or (self.sidecar.display_name if self.sidecar is not None else "") or self.stem

    @property
    def trigger_phrase(self) -> str:
        """The words that make it show, as its sidecar, its notes or its header have them; empty where there are none:
        what ``<trigger>`` writes into a prompt."""
        written = self.sidecar.activation_text.strip() if self.sidecar is not None else ""
        return written or self.notes.get("trigger_phrase", "") or (self.header.trigger_phrase if self.header else "")


class _Stamp(NamedTuple):
    """What a card was made of."""

    name: str
    size_bytes: int
    mtime_ns: int
    is_read: bool
    sidecar: BesideFile | None
    notes: BesideFile | None
    preview: BesideFile | None
    sha256: str | None


class _List(NamedTuple):
    """The cards of one type, and what they were made of."""

    files: Sequence[ModelFile]
    sums: KnownSums
    folders: Mapping[str, FolderContents]
    cards: Sequence[ModelCard]


class ModelCards:
    """Tells what is known of model files, fast enough for a list of thousands.

    Thread-safe.

    Args:
        clock: seconds, for how long headers are read.
    """

    def __init__(self, library: ModelLibrary, hashes: ModelHashes, clock: Callable[[], float] = time.monotonic) -> None:
        self._library = library
        self._hashes = hashes
        self._clock = clock
        self._beside = FilesBeside()
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._headers: OrderedDict[tuple[str, int, int], HeaderFacts | None] = OrderedDict()
        self._cards: OrderedDict[str, tuple[_Stamp, ModelCard]] = OrderedDict()
        self._lists: dict[ModelType, _List] = {}
        self._sums: tuple[int, KnownSums] | None = None

    def cards(self, kind: ModelType, read_seconds: float = READ_SECONDS) -> Sequence[ModelCard]:
        """A card of each file of a type, in the library's order. Headers that are not read within ``read_seconds`` are
        left to the next call. The same object while nothing changes."""
        files, sums = self._library.files(kind), self._known_sums()
        known = self._lists.get(kind)
        if known is not None and known.files is files and known.sums is sums and self._are_same(known.folders):
            return known.cards
        is_whole = self._read_headers(files, read_seconds)
        folders = {folder: self._beside.look(folder) for folder in {os.path.dirname(file.path) for file in files}}
        cards = [self._card_of(file, folders[os.path.dirname(file.path)], sums) for file in files]
        if is_whole:
            self._lists[kind] = _List(files, sums, folders, cards)
        return cards

    def card(self, file: ModelFile) -> ModelCard:
        """The card of one file, as it and what lies beside it are now."""
        folder = os.path.dirname(file.path)
        self._beside.refresh(folder)
        self._read_headers([file], READ_SECONDS)
        return self._card_of(file, self._beside.look(folder), self._known_sums())

    def may_read(self, file: ModelFile, path: str) -> bool:
        """Whether a file beside a model may be opened: as `ModelLibrary.may_read`."""
        return self._library.may_read(file, path)

    def refresh(self) -> None:
        """Look at what lies beside the files again, also where it was rewritten in place."""
        self._beside.refresh()

    # --- cards ------------------------------------------------------------------------------------------------------

    def _are_same(self, folders: Mapping[str, FolderContents]) -> bool:
        return all(self._beside.look(folder) is contents for folder, contents in folders.items())

    def _card_of(self, file: ModelFile, beside: FolderContents, sums: KnownSums) -> ModelCard:
        stem = os.path.basename(stem_path(file))
        key = (file.path, file.size_bytes, file.mtime_ns)
        stamp = _Stamp(
            file.name,
            file.size_bytes,
            file.mtime_ns,
            key in self._headers,
            beside.sidecars.get(stem),
            beside.notes.get(stem),
            beside.previews.get(stem),
            sums.get(*key),
        )
        known = self._cards.get(file.path)
        if known is None or known[0] != stamp:
            known = stamp, self._make_card(file, stamp)
            with self._lock:
                self._cards[file.path] = known
                while len(self._cards) > _MAX_REMEMBERED:
                    self._cards.popitem(last=False)
        return known[1]

    def _make_card(self, file: ModelFile, stamp: _Stamp) -> ModelCard:
        header = self._headers.get((file.path, file.size_bytes, file.mtime_ns))
        notes = dict(header.notes) if header is not None else {}
        if stamp.notes is not None:
            notes |= _notes_of(read_notes(stamp.notes.path))
        return ModelCard(
            file=file,
            header=header,
            notes=notes,
            sidecar=self._library.sidecar(file.path) if stamp.sidecar is not None else None,
            preview=stamp.preview,
            sha256=stamp.sha256,
        )

    def _known_sums(self) -> KnownSums:
        # The revision first: a sum that comes meanwhile is read again the next time.
        revision = self._hashes.revision
        known = self._sums
        if known is None or known[0] != revision:
            known = self._sums = revision, self._hashes.known_sums()
        return known[1]

    # --- headers ----------------------------------------------------------------------------------------------------

    def _read_headers(self, files: Sequence[ModelFile], read_seconds: float) -> bool:
        """Read those that were not read before; whether all are read by now."""
        missing = [file for file in files if (file.path, file.size_bytes, file.mtime_ns) not in self._headers]
        if not missing:
            return True
        until = self._clock() + read_seconds
        # One at a time: two lists that are asked for at once would read the same files.
        with self._reading:
            for file in missing:
                key = (file.path, file.size_bytes, file.mtime_ns)
                if key in self._headers:
                    continue
                found = _read_header(file)
                with self._lock:
                    self._headers[key] = found
                    while len(self._headers) > _MAX_REMEMBERED:
                        self._headers.popitem(last=False)
                if self._clock() >= until:
                    return file is missing[-1]
        return True


def _read_header(file: ModelFile) -> HeaderFacts | None:
    try:
        inspected = inspect_parts(file.parts or (file.path,))
    except NotAModel:
        return None
    architecture = inspected.architecture
    return HeaderFacts(
        contents=inspected.contents,
        architecture=architecture.id if architecture is not None else None,
        preset=variant(architecture, inspected.tensors, file.name).preset if architecture is not None else None,
        parameter_count=inspected.parameter_count,
        notes=_notes_of({name: value for name, value in inspected.metadata.items() if _is_note(name)}),
        trained_words=inspected.trained_words,
        trigger_phrase=phrase_of(inspected.metadata),
    )


def _is_note(name: str) -> bool:
    """Whether an entry of a header is about the whole model: many hold hundreds about how it was trained."""
    return name.startswith(_PREFIX) or name in _OTHER_NOTES


def _notes_of(given: Mapping[str, object]) -> dict[str, str]:
    """The texts of ``given`` by their names without the prefix; a list becomes words between commas."""
    notes: dict[str, str] = {}
    for name, value in given.items():
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            value = ",".join(value)
        if isinstance(value, str) and value.strip() and len(value) <= _MAX_NOTE_CHARACTERS:
            own = name.removeprefix(_PREFIX)
            if own != name or own not in notes:
                notes[own] = value.strip()
    return notes
