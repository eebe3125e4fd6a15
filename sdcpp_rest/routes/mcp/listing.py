"""Lists models and finished pictures for agents: what helps to choose, and no more, because every word is read.

Blocks while headers are read: call it on a thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdcpp_rest.core.architectures import ARCHITECTURES
from sdcpp_rest.core.catalog import ModelType
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.presets import PRESETS
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.routes.mcp.calls import AgentCaller
from sdcpp_rest.routes.mcp.content import make_result
from sdcpp_rest.routes.mcp.parts import ServerParts
from sdcpp_rest.routes.mcp.translate import PICTURE_KINDS, describe_listed, show_files
from sdcpp_rest.services.models.fit_estimate import Fit, FitRequest
from sdcpp_rest.services.models.model_cards import ModelCard
from sdcpp_rest.services.submission.model_choice import PICTURE_MODELS

MOST_MODELS = 30
_MOST_OTHERS = 50
_MOST_PAGES = 20
_SHOWN_DEFAULTS = ("width", "height", "steps", "cfg_scale")


@dataclass(frozen=True)
class ListedPage:
    """Which finished jobs are listed."""

    search: str
    limit: int
    offset: int = 0


class Listings:
    """Makes the lists of `list_models` and `list_images`."""

    def __init__(self, parts: ServerParts) -> None:
        self._parts = parts

    def show_models(self, search: str, warnings: Sequence[str]) -> dict[str, Any]:
        """The result of `list_models`."""
        facts = self.list_models(search) | _tell(warnings)
        count = len(facts["models"])
        return make_result(f"{count} model{'' if count == 1 else 's'}.", facts, (), "none")

    def list_models(self, search: str = "") -> dict[str, Any]:
        """Models, upscalers and LoRAs whose names hold ``search``."""
        found = [(kind, card) for kind in PICTURE_MODELS for card in self._cards(kind, search)]
        loras = self._cards("lora", search)
        upscalers = self._cards("esrgan", search)
        facts: dict[str, Any] = {
            "models": [self._describe(kind, card) for kind, card in found[:MOST_MODELS]],
            "upscalers": [card.file.name for card in upscalers[:_MOST_OTHERS]],
            "loras": [_describe_lora(card) for card in loras[:_MOST_OTHERS]],
        }
        more = {
            "models": len(found) - MOST_MODELS,
            "upscalers": len(upscalers) - _MOST_OTHERS,
            "loras": len(loras) - _MOST_OTHERS,
        }
        left = {name: count for name, count in more.items() if count > 0}
        return {**facts, "left_out": left} if left else facts

    def show_images(self, caller: AgentCaller, page: ListedPage, warnings: Sequence[str]) -> dict[str, Any]:
        """The result of `list_images`."""
        shown = self.list_images(caller, page)
        count = len(shown)
        sentence = f"{count} finished job{'' if count == 1 else 's'}, newest first."
        return make_result(sentence, {"images": shown} | _tell(warnings), (), "none")

    def list_images(self, caller: AgentCaller, page: ListedPage) -> list[dict[str, Any]]:
        """Finished jobs that have made pictures or videos, newest first."""
        parts = self._parts
        return [
            describe_listed(job, show_files(job, parts.jobs.outputs, parts.config, caller))
            for job in self._find_jobs(page.search, page.offset + page.limit)[page.offset :]
        ]

    # --- inside -----------------------------------------------------------------------------------------------------

    def _find_jobs(self, search: str, count: int) -> list[Job]:
        """Conversions and downloads lie among the jobs, and are left out."""
        found: list[Job] = []
        page = max(50, count)
        for number in range(_MOST_PAGES):
            jobs = self._parts.jobs.queue.list(page, number * page, status={"completed"}, search=search or None)
            found += [job for job in jobs if job.kind in PICTURE_KINDS and job.outputs]
            if len(found) >= count or len(jobs) < page:
                break
        return found[:count]

    def _cards(self, kind: ModelType, search: str) -> Sequence[ModelCard]:
        wanted = search.casefold()
        cards = self._parts.models.cards.cards(kind)
        return [card for card in cards if wanted in card.file.name.casefold() or wanted in card.title.casefold()]

    def _describe(self, kind: ModelType, card: ModelCard) -> dict[str, Any]:
        slot = self._parts.models.slot
        shown: dict[str, Any] = {"name": card.file.name}
        header = card.header
        if header is not None and header.architecture is not None:
            family = ARCHITECTURES[header.architecture]
            shown["family"] = family.name
            shown["makes"] = "video" if not family.makes_images else "images"
            if family.takes_reference_images:
                shown["takes_reference_images"] = True
            if family.unusable:
                shown["unusable"] = family.unusable
        preset = PRESETS.get(header.preset) if header is not None and header.preset else None
        if preset is not None:
            shown["good_for"] = preset.description
        usual = {**(preset.generation if preset else {}), **(card.sidecar.generation_defaults if card.sidecar else {})}
        shown |= {name: usual[name] for name in _SHOWN_DEFAULTS if name in usual}
        if card.trigger_phrase:
            shown["trigger_words"] = card.trigger_phrase
        fits = self._judge_fit(kind, card, usual)
        if fits is not None:
            shown["fits"] = fits
        if slot.selected is not None and slot.selected.model.path == card.file.path:
            shown["selected"] = True
        if slot.resident is not None and slot.resident.model.path == card.file.path:
            shown["loaded"] = True
        return shown

    def _judge_fit(self, kind: ModelType, card: ModelCard, usual: Mapping[str, Any]) -> str | None:
        """Whether the model fits into the memory of what computes: fits, tight or no."""
        fits = self._parts.models.fits
        try:
            size = fits.usual_size(kind, card.file.name)
            width, height = int(usual.get("width", size[0])), int(usual.get("height", size[1]))
            return _verdict(fits.of(kind, card.file.name, FitRequest(width, height)))
        except (SdcppRestError, OSError, ValueError):
            return None  # damaged, or gone meanwhile: a load says why


def _verdict(fit: Fit) -> str | None:
    devices = [device for device in fit.devices if device.is_gpu] or list(fit.devices)
    return devices[0].verdict if devices else None


def _tell(warnings: Sequence[str]) -> dict[str, Any]:
    return {"warnings": list(warnings)} if warnings else {}


def _describe_lora(card: ModelCard) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": card.file.name}
    if card.trigger_phrase:
        shown["trigger_words"] = card.trigger_phrase
    return shown
