"""Keeps what users choose while the server runs, section by section, each with its own type and default.

Values were checked against the API's ranges by whoever takes them from a client; here they get their defaults, are
merged, kept and read back. A stored value that a later version cannot read is its default again.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, get_args

from pydantic import Field, ValidationError

from sdcpp_rest.config import HousekeepingConfig
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.errors import PayloadTooLarge
from sdcpp_rest.store.settings_store import SettingsStore

log = logging.getLogger(__name__)

Mode = Literal["txt2img", "img2img", "txt2vid"]
Section = Literal["generation", "preferences", "output", "auto-unload", "recycle-bin"]
MODES: tuple[Mode, ...] = get_args(Mode)
SECTIONS: tuple[Section, ...] = get_args(Section)
MAX_IDLE_MINUTES = 1440
MAX_RETENTION_MINUTES = 10 * 365 * 24 * 60
PREFERENCES_BYTES = 65_536

_FORMS = "settings.generation-forms"
_IDLE_MINUTES = 30.0
_RETENTION_MINUTES = 7 * 24 * 60

S = TypeVar("S", bound=Frozen)


class IdleUnload(Frozen):
    """Whether something is freed when it was not used for ``timeout_minutes``."""

    enabled: bool
    timeout_minutes: float = Field(gt=0)


class AutoUnload(Frozen):
    """The same for the model, for the upscaler, and for a detector of faces: there is none here, so that its rule is
    kept for whoever asks and frees nothing."""

    main: IdleUnload
    upscaler: IdleUnload
    adetailer: IdleUnload = IdleUnload(enabled=False, timeout_minutes=_IDLE_MINUTES)


class BinRules(Frozen):
    """Whether deleted jobs go to the recycle bin, and how long they stay there."""

    enabled: bool = True
    retention_minutes: int = Field(default=_RETENTION_MINUTES, ge=1, le=MAX_RETENTION_MINUTES)


class OutputLayout(Frozen):
    """How the folders of finished jobs are grouped. So far they are not."""

    group_by: Literal["none"] = "none"


class UserSettings:
    """Keeps what users choose while the server runs, section by section.

    Thread-safe.

    Args:
        defaults: the configuration's values for what may be overridden here.
    """

    def __init__(self, store: SettingsStore, defaults: HousekeepingConfig) -> None:
        self._store = store
        self._lock = threading.Lock()
        minutes = defaults.unload_after_idle_minutes
        model = IdleUnload(enabled=minutes > 0, timeout_minutes=minutes or _IDLE_MINUTES)
        self._auto_unload = AutoUnload(main=model, upscaler=model)

    # --- what a picture's omitted fields become ---------------------------------------------------------------------

    def generation_defaults(self, mode: Mode) -> dict[str, Any]:
        """What users chose for the fields that a request of this kind leaves out; only those that they chose."""
        return self._by_mode(_key("generation"))[mode]

    def generation(self) -> dict[Mode, dict[str, Any]]:
        """What was put for every mode: the form of a user interface that keeps one here, else the defaults."""
        forms = self._by_mode(_FORMS)
        return {mode: forms[mode] or values for mode, values in self._by_mode(_key("generation")).items()}

    def choose_generation(
        self, chosen: Mapping[Mode, Mapping[str, Any]], forms: Mapping[Mode, Mapping[str, Any]] | None = None
    ) -> dict[Mode, dict[str, Any]]:
        """Replace what was chosen for the modes in ``chosen``, and what their forms held; the others stay. Returns
        what `generation` then does.

        ``forms``: what a user interface's form holds, in its own words, kept as it is beside the defaults. Raises
        PayloadTooLarge for more than `PREFERENCES_BYTES` of it.
        """
        kept: Mapping[Mode, Mapping[str, Any]] = forms or {}
        size = len(json.dumps(kept))
        if size > PREFERENCES_BYTES:
            raise _too_large("form", size)
        with self._lock:
            defaults, all_forms = self._by_mode(_key("generation")), self._by_mode(_FORMS)
            defaults.update({mode: dict(values) for mode, values in chosen.items()})
            all_forms.update({mode: dict(kept.get(mode, {})) for mode in (*chosen, *kept)})
            self._store.put(_key("generation"), defaults)
            self._store.put(_FORMS, all_forms)
            return self.generation()

    def _by_mode(self, name: str) -> dict[Mode, dict[str, Any]]:
        stored = self._store.get(name)
        found = stored if isinstance(stored, dict) else {}
        return {mode: dict(values) if isinstance(values := found.get(mode), dict) else {} for mode in MODES}

    # --- what a user interface remembers ----------------------------------------------------------------------------

    def preferences(self) -> dict[str, Any]:
        """A JSON object of which only the user interface knows the meaning."""
        stored = self._store.get(_key("preferences"))
        return stored if isinstance(stored, dict) else {}

    def merge_preferences(self, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Merge an object into the preferences, deeply; ``None`` removes a name (RFC 7396). Returns all of them.

        Raises PayloadTooLarge when they would be larger than `PREFERENCES_BYTES` as JSON.
        """
        with self._lock:
            merged = _merge(self.preferences(), patch)
            size = len(json.dumps(merged))
            if size > PREFERENCES_BYTES:
                raise _too_large("preferences", size)
            self._store.put(_key("preferences"), merged)
            return merged

    # --- how the server behaves -------------------------------------------------------------------------------------

    def output(self) -> OutputLayout:
        return self._read("output", OutputLayout, OutputLayout)

    def auto_unload(self) -> AutoUnload:
        """What users chose, else what the configuration says."""
        return self._read("auto-unload", AutoUnload, lambda: self._auto_unload)

    def change_auto_unload(self, sent: Mapping[str, Mapping[str, Any]]) -> AutoUnload:
        """Change the fields of ``main``, ``upscaler`` and ``adetailer`` that are in ``sent``."""
        with self._lock:
            rules = self.auto_unload().model_dump()
            changed = {kind: {**rule, **sent.get(kind, {})} for kind, rule in rules.items()}
            return self._write("auto-unload", AutoUnload.model_validate(changed))

    def recycle_bin(self) -> BinRules:
        return self._read("recycle-bin", BinRules, BinRules)

    def change_recycle_bin(self, sent: Mapping[str, Any]) -> BinRules:
        """Change the fields that are in ``sent``. Jobs that are in the bin already follow the new rules."""
        with self._lock:
            return self._write("recycle-bin", BinRules(**{**self.recycle_bin().model_dump(), **sent}))

    def reset(self, section: Section | None = None) -> tuple[Section, ...]:
        """Forget what was chosen, in one section or all of them. Returns which."""
        chosen = SECTIONS if section is None else (section,)
        with self._lock:
            for name in chosen:
                self._store.delete(_key(name))
            if "generation" in chosen:
                self._store.delete(_FORMS)
        return chosen

    def _read(self, section: Section, kind: type[S], default: Callable[[], S]) -> S:
        stored = self._store.get(_key(section))
        if stored is None:
            return default()
        try:
            return kind.model_validate(stored)
        except ValidationError:
            log.warning("the stored %s settings cannot be read any more; the defaults are used", section)
            return default()

    def _write(self, section: Section, value: S) -> S:
        self._store.put(_key(section), value.model_dump(mode="json"))
        return value


def _key(section: Section) -> str:
    return f"settings.{section}"


def _too_large(what: str, size: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The {what} would be {size} bytes as JSON; at most {PREFERENCES_BYTES} are kept",
        value=size,
        allowed=f"at most {PREFERENCES_BYTES} bytes",
    )


def _merge(whole: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(whole)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            inner = merged.get(name)
            merged[name] = _merge(inner if isinstance(inner, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged
