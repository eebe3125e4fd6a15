"""Draws what the script "Prompts from file or textbox" does: one call after the other, each from a line. A line is a
prompt, or, where it begins with ``--``, fields of the request: ``--prompt "a cat" --steps 20 --seed 7``.
"""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sdcpp_rest.routes.a1111.answering import ScriptAnswer
from sdcpp_rest.routes.a1111.errors import Unreadable
from sdcpp_rest.routes.a1111.reading import reread
from sdcpp_rest.routes.a1111.scripts.arguments import Argument, refusal
from sdcpp_rest.routes.a1111.scripts.requests import MOST_SEEDS, check_count
from sdcpp_rest.routes.a1111.scripts.script import (
    TXT2IMG_AND_IMG2IMG,
    ScriptChoices,
    ScriptStage,
    ScriptTools,
    Shot,
)
from sdcpp_rest.routes.a1111.translate import PictureCall
from sdcpp_rest.routes.a1111.wire import A1111Request
from sdcpp_rest.services.jobs.chance import draw_below
from sdcpp_rest.services.submission.picture_rounds import PictureKind

TITLE = "Prompts from file or textbox"
_TEXT_PLACE = 3
_PROMPTS = ("prompt", "negative_prompt")
_LONGEST_LINE = 50_000


def _is_true(text: str) -> bool:
    return text == "true"


_TAGS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("sd_model", *_PROMPTS, "sampler_name"), str),
    "styles": lambda text: [name.strip() for name in text.split(",")],
    **dict.fromkeys(
        ("seed", "subseed", "subseed_strength", "seed_resize_from_h", "seed_resize_from_w", "batch_size", "n_iter",
         "steps", "cfg_scale", "width", "height"),
        str,
    ),
    "restore_faces": _is_true,
    "tiling": _is_true,
}  # fmt: skip
"""What a line may set, and how its text is read; numbers are read with the request."""
_WITHOUT_EFFECT = frozenset(
    {
        "outpath_samples",
        "outpath_grids",
        "prompt_for_display",
        "do_not_save_samples",
        "do_not_save_grid",
        "sampler_index",
    }
)


class PromptsFromFile:
    """Draws one call after the other, from lines of text."""

    title = TITLE
    kinds = TXT2IMG_AND_IMG2IMG

    def arguments(self, kind: PictureKind, choices: ScriptChoices) -> tuple[Argument, ...]:
        return (
            Argument("checkbox_iterate", "Iterate seed every line", "switch", False),
            Argument("checkbox_iterate_batch", "Use same random seed for all lines", "switch", False),
            Argument("prompt_position", "Insert prompts at the", "word", "start", choices=("start", "end")),
            Argument("prompt_txt", "List of prompt inputs", "text", ""),
        )

    def prepare(self, body: A1111Request, given: Mapping[str, Any], tools: ScriptTools) -> LinesRun:
        lines = [(number, line.strip()) for number, line in enumerate(given["prompt_txt"].splitlines(), 1)]
        lines = [(number, line) for number, line in lines if line]
        if not lines:
            raise refusal(_TEXT_PLACE, f"{TITLE}: prompt_txt is empty; each line is a prompt, or --prompt and more")
        check_count(TITLE, len(lines), tools, "one for each line")
        is_iterated = given["checkbox_iterate"]
        if body.seed < 0 and (is_iterated or given["checkbox_iterate_batch"]):
            body = body.model_copy(update={"seed": draw_below(MOST_SEEDS)})
        count, found = 0, []
        for number, line in lines:
            one, ignored = _read_body(body, number, line, given["prompt_position"], tools)
            found.append((one, ignored))
            count += one.n_iter * one.batch_size
            check_count(TITLE, count, tools, f"{len(lines)} lines, and how many each of them asks for")
            if is_iterated:
                body = body.model_copy(update={"seed": body.seed + body.batch_size * body.n_iter})
        calls = []
        for one, ignored in found:
            calls.append(tools.translate(one))
            calls[-1].plan.ignored += ignored
        return LinesRun(calls)


class LinesRun:
    """The lines, ready to be drawn; ``calls`` are theirs."""

    def __init__(self, calls: Sequence[PictureCall]) -> None:
        self._shots = [Shot(call, index) for call in calls for index in range(call.count)]

    @property
    def call(self) -> PictureCall:
        return self._shots[0].call

    @property
    def count(self) -> int:
        return len(self._shots)

    def draw(self, stage: ScriptStage) -> ScriptAnswer:
        drawn = stage.draw_all(self._shots)
        pictures = [picture for one in drawn if one is not None for picture in one.pictures]
        return ScriptAnswer(
            pictures=[stage.encode(one) for one in pictures],
            infotexts=[one.text for one in pictures],
            facts=[one.facts for one in pictures],
        )


def _read_body(
    body: A1111Request, number: int, line: str, position: str, tools: ScriptTools
) -> tuple[A1111Request, list[str]]:
    """The request of a line, and what of the line changes nothing here. Raises Unreadable, which names the line."""
    ignored: list[str] = []
    try:
        fields: dict[str, Any] = {"prompt": line}
        if line.startswith("--"):
            fields = dict(_read_line(line))
            ignored = [f"--{name}" for name in fields if name in _WITHOUT_EFFECT]
            fields = {name: _TAGS[name](text) for name, text in fields.items() if name in _TAGS}
        model = fields.pop("sd_model", None)
        if model is not None:
            found = tools.choices.find_checkpoint(model)
            if found is None:
                raise ValueError(f"--sd_model is {model[:100]!r}; there is {', '.join(tools.choices.checkpoints())}")
            fields["override_settings"] = {**body.override_settings, "sd_model_checkpoint": found}
        for name in _PROMPTS:
            own = getattr(body, name)
            if fields.get(name) and own:
                fields[name] = f"{fields[name]} {own}" if position == "start" else f"{own} {fields[name]}"
        return reread(type(body), {**body.sent_fields(), **fields}), ignored
    except Unreadable as error:
        complaints = [f"--{one['loc'][1]}: {one['msg']}" for one in error.complaints]
        raise refusal(_TEXT_PLACE, f"{TITLE}: line {number}: {'; '.join(complaints)}") from None
    except ValueError as error:
        raise refusal(_TEXT_PLACE, f"{TITLE}: line {number}: {error}") from None


def _read_line(line: str) -> Iterator[tuple[str, str]]:
    """The fields of a line as text. A prompt goes on until the next ``--``. Raises ValueError saying what is wrong."""
    if len(line) > _LONGEST_LINE:
        raise ValueError(f"it has {len(line)} characters; there may be {_LONGEST_LINE}")
    words = deque(shlex.split(line))
    while words:
        tag = words.popleft()
        name = tag.removeprefix("--")
        if name == tag or (name not in _TAGS and name not in _WITHOUT_EFFECT):
            possible = ", ".join(f"--{one}" for one in _TAGS)
            raise ValueError(f"{tag[:60]!r} is none of {possible}")
        if not words:
            raise ValueError(f"{tag} has no value")
        values = [words.popleft()]
        while name in _PROMPTS and words and not words[0].startswith("--"):
            values.append(words.popleft())
        yield name, " ".join(values)
