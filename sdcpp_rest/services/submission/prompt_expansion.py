"""Resolves the tags of a request's prompts before it becomes a job: words are drawn, LoRAs named, parameters set.

Parameters go by the names of `core.params`, presets are the server's prompt styles. It must not know the queue.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Union, cast, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import ImageParams, SamplingParams, VideoParams
from sdcpp_rest.core.prompt_language.expand import Expanded, expand
from sdcpp_rest.core.prompt_language.state import PromptLora
from sdcpp_rest.core.prompt_language.surroundings import NEGATIVE_ID, PROMPT_ID, parameter_id
from sdcpp_rest.core.prompt_language.tags import VALUE
from sdcpp_rest.core.prompt_style import PLACE
from sdcpp_rest.core.prompts import check_prompt
from sdcpp_rest.errors import InvalidRequest, NoModelLoaded
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.models.wildcards import Wildcards
from sdcpp_rest.services.settings.prompt_styles import PromptStyles
from sdcpp_rest.services.settings.user_settings import Mode
from sdcpp_rest.services.submission.prompt_surroundings import PromptSurroundings
from sdcpp_rest.services.submission.sampling_intake import SamplingIntake
from sdcpp_rest.services.submission.submission_checks import FOUND_HERE, choose_seed

_SCALARS = (int, float, str, bool)
_NOT_SET_BY_TAGS = FOUND_HERE | {"prompt", "negative_prompt", "original_prompt", "original_negative_prompt"}


@dataclass(frozen=True)
class Resolved:
    """What became of a request: ``asked`` in names of the parameters, the ``seed`` that its words come from, the
    ``settings`` that tags have set, and how that came about."""

    seed: int
    asked: dict[str, Any]
    settings: Mapping[str, Any]
    expanded: Expanded
    warnings: list[str]


class PromptExpansion:
    """Resolves the tags of prompts, and tells in warnings what could not be done."""

    def __init__(
        self,
        limits: LimitsConfig,
        models: ModelSlot,
        library: ModelLibrary,
        wildcards: Wildcards,
        intake: SamplingIntake,
        styles: PromptStyles,
    ) -> None:
        self._limits = limits
        self._models = models
        self._library = library
        self._wildcards = wildcards
        self._intake = intake
        self._styles = styles

    def word(
        self,
        mode: Mode,
        asked: Mapping[str, Any],
        *,
        styles: Sequence[str] = (),
        resolves_tags: bool = False,
        spec: LoadSpec | None = None,
    ) -> tuple[dict[str, Any], list[str]]:
        """``asked`` with prompt styles added to its prompts and, where that is asked for, with their tags resolved
        then; and warnings. Where either is done, the prompts as written stay beside them. ``spec`` as `resolve` has
        it. Raises NoModelLoaded, InvalidRequest."""
        if resolves_tags:
            resolved = self.resolve(mode, asked, styles=styles, spec=spec)
            return resolved.asked, resolved.warnings
        return self._style(asked, styles), []

    def resolve(
        self, mode: Mode, asked: Mapping[str, Any], *, styles: Sequence[str] = (), spec: LoadSpec | None = None
    ) -> Resolved:
        """``asked`` (in names of the parameters) with prompt styles added, its tags resolved and its seed drawn.

        The prompts as written stay beside them, as ``original_prompt`` and ``original_negative_prompt``; LoRAs are tags
        at the end of the prompt. All pictures of a request share its words. ``spec``: the model that will draw; the
        selected one if ``None``. Raises NoModelLoaded, InvalidRequest.
        """
        spec = spec or self._models.selected
        if spec is None:
            raise NoModelLoaded("No model loaded")
        kind: type[SamplingParams] = VideoParams if mode == "txt2vid" else ImageParams
        given = {**self._style(asked, styles), "seed": choose_seed(asked.get("seed", -1), self._limits)}
        prompt, negative_prompt = given.get("prompt") or "", given.get("negative_prompt") or ""
        parameters = _Parameters(kind, mode, given, spec, self._intake)
        surroundings = PromptSurroundings(
            self._library, self._wildcards, spec, parameter=parameters.text_of, preset=self._preset
        )
        expanded = expand(prompt, negative_prompt, surroundings, seed=given["seed"], braces=True)
        settings = parameters.read(expanded.parameters)
        resolved = {
            "original_prompt": prompt,
            **given,
            **settings,
            "prompt": " ".join(filter(None, [expanded.prompt, *map(_write_tag, expanded.loras)])),
        }
        for field, text in (("prompt", resolved["prompt"]), ("negative_prompt", expanded.negative_prompt)):
            check_prompt(field, text, self._limits.prompt_characters)
        if "negative_prompt" in given or expanded.negative_prompt:
            resolved = {"original_negative_prompt": negative_prompt, **resolved}
            resolved["negative_prompt"] = expanded.negative_prompt
        return Resolved(
            given["seed"], resolved, settings, expanded, [*expanded.warnings, *_more_warnings(expanded, resolved)]
        )

    def _style(self, asked: Mapping[str, Any], styles: Sequence[str]) -> dict[str, Any]:
        if not styles:
            return {**asked}
        written, unwanted = asked.get("prompt") or "", asked.get("negative_prompt") or ""
        prompt, negative_prompt = self._styles.apply_known(written, unwanted, styles)
        styled = {**asked, "prompt": prompt, "original_prompt": written}
        if negative_prompt != unwanted:
            styled |= {"negative_prompt": negative_prompt, "original_negative_prompt": unwanted}
        return styled

    def _preset(self, title: str) -> Mapping[str, str] | None:
        """A prompt style as a preset: both are text around what the user wrote."""
        style = next((style for style in self._styles.all() if style.name == title), None)
        if style is None:
            return None
        texts = {PROMPT_ID: style.prompt, NEGATIVE_ID: style.negative_prompt}
        return {id: text.replace(PLACE, VALUE, 1) for id, text in texts.items()}


class _Parameters:
    """Reads the parameters of one request as text, by ids, and takes them back."""

    def __init__(
        self, kind: type[SamplingParams], mode: Mode, given: Mapping[str, Any], spec: LoadSpec, intake: SamplingIntake
    ) -> None:
        self._kind = kind
        self._mode = mode
        self._given = given
        self._spec = spec
        self._intake = intake
        self._fields = {
            parameter_id(name): name
            for name, field in kind.model_fields.items()
            if name not in _NOT_SET_BY_TAGS and _is_scalar(field.annotation)
        }

    def text_of(self, id: str) -> str | None:
        """The value that the request has, or will have by default."""
        if id in (PROMPT_ID, NEGATIVE_ID):
            return str(self._given.get("prompt" if id == PROMPT_ID else "negative_prompt") or "")
        name = self._fields.get(id)
        if name is None:
            return None
        value = self._given.get(name)
        if value is None:
            value = getattr(self._usual, name)
        if value is None:
            return ""
        return (
            str(value).lower()
            if isinstance(value, bool)
            else f"{value:.15g}"
            if isinstance(value, float)
            else str(value)
        )

    @cached_property
    def _usual(self) -> SamplingParams:
        return self._intake.usual(self._kind, self._mode, self._spec)

    def read(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """The parameters that tags have set, in their own types. Raises InvalidRequest."""
        found = {}
        for id, text in texts.items():
            name = self._fields[id]
            try:
                found[name] = _read_value(self._kind, name, text.strip())
            except ValidationError as error:
                why = error.errors(include_url=False)[0]["msg"]
                raise InvalidRequest(
                    f"prompt: <param[{name}]:{text[:100]}> cannot be used: {why}", field=name, value=text[:200]
                ) from None
        return found


def _read_value(kind: type[SamplingParams], name: str, text: str) -> Any:
    return TypeAdapter(cast("Any", kind.model_fields[name].annotation)).validate_python(text)


def _is_scalar(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return True
    if get_origin(annotation) in (Union, types.UnionType):
        return any(_is_scalar(one) for one in get_args(annotation))
    return annotation in _SCALARS


def _write_tag(lora: PromptLora) -> str:
    return f"<lora:{lora.name}:{lora.weight:.15g}>"


def _more_warnings(expanded: Expanded, resolved: Mapping[str, Any]) -> list[str]:
    """What the language could do, and this server cannot."""
    found = []
    if expanded.hires_prompt is not None:
        found.append(
            "prompt: <refiner> and the text of its section were cut out: hires fix has the picture's own prompt."
        )
    differing = {lora.name for lora in expanded.loras if lora.text_encoder_weight not in (None, lora.weight)}
    if differing:
        found.append(
            f"prompt: the text encoder has no weight of its own; the first weight of {', '.join(sorted(differing))} "
            "counts for both."
        )
    count = resolved.get("batch_count") or 1
    if count > 1 and expanded.draw_count:
        found.append(
            f"prompt: its words were drawn once, for all {count} pictures of this job; ask for one at a time to have "
            "other words in each."
        )
    return found
