"""Expands a prompt and its negative prompt: one call resolves every tag, and tells what they ask for besides words.

The same request has the same words: all that is random comes from one generator, seeded once for both prompts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sdcpp_rest.core.prompt_language.budget import Budget
from sdcpp_rest.core.prompt_language.draws import Draws
from sdcpp_rest.core.prompt_language.evaluation import Evaluation
from sdcpp_rest.core.prompt_language.marks import (
    MAIN,
    REFINER,
    TRIGGER,
    has_words,
    mark_section,
    resolve_marks,
    without_marks,
)
from sdcpp_rest.core.prompt_language.state import Around, Missing, PromptLora, State
from sdcpp_rest.core.prompt_language.surroundings import NEGATIVE_ID, PROMPT_ID, Surroundings
from sdcpp_rest.core.prompt_language.syntax import parse
from sdcpp_rest.errors import InvalidRequest

_FIELDS = {PROMPT_ID: "prompt", NEGATIVE_ID: "negative_prompt"}


@dataclass(frozen=True)
class Expanded:
    """What became of a prompt.

    ``hires_prompt`` is the whole prompt of the hires pass, or ``None`` where it has none of its own. ``parameters``
    holds what tags and presets set, by id, as text; ``variables`` what they kept; ``missing`` what they ask for and is
    not there. Titles of presets and names of wildcards come in the order in which they were used, each as often.
    ``draw_count`` says how often something was drawn: 0 where nothing is random.
    """

    prompt: str
    negative_prompt: str
    hires_prompt: str | None
    loras: tuple[PromptLora, ...]
    parameters: Mapping[str, str]
    presets: tuple[str, ...]
    used_wildcards: tuple[str, ...]
    warnings: tuple[str, ...]
    draw_count: int
    variables: Mapping[str, str]
    missing: tuple[Missing, ...]


def expand(
    prompt: str,
    negative_prompt: str,
    world: Surroundings,
    *,
    seed: int,
    by_index: bool = False,
    braces: bool = False,
) -> Expanded:
    """Resolve the tags of both prompts, the prompt's first; variables and macros of the one are there for the other.

    Args:
        world: where names are looked up.
        seed: of all that is random; any integer.
        by_index: entries are not drawn but counted off: entry ``seed`` mod count.
        braces: ``{a|b}``, ``{2$$a|b}`` and ``__wildcard__`` are understood too.

    Raises InvalidRequest naming ``prompt`` or ``negative_prompt`` where it is too long, makes too much, or holds NUL.
    """
    budget = Budget("prompt")
    state = State(world, Draws(seed, by_index=by_index), budget, braces=braces)
    made = {}
    for (id, field), text in zip(_FIELDS.items(), (prompt, negative_prompt), strict=True):
        budget.field = field
        made[id] = _evaluate(state, text)
    trigger = _trigger_words(state)
    sections = {}
    for id, field in _FIELDS.items():
        budget.field = field
        text = _write_around(made[id], state.around[id]) if id in state.around else made[id]
        budget.spend_characters(text.count(TRIGGER) * len(trigger))
        sections[id] = resolve_marks(text, trigger)
        budget.check_length(sections[id][MAIN], "when its tags are resolved")
        budget.check_length(sections[id].get(REFINER, ""), "in its section <refiner>")
    if sections[NEGATIVE_ID].get(REFINER):
        state.warn("<refiner> and the text of its section were cut out: the hires pass has none.")
    both = [part for name in (MAIN, REFINER) if (part := sections[PROMPT_ID].get(name))]
    return Expanded(
        prompt=sections[PROMPT_ID][MAIN],
        negative_prompt=sections[NEGATIVE_ID][MAIN],
        hires_prompt=" ".join(both) if sections[PROMPT_ID].get(REFINER) else None,
        loras=tuple(state.loras),
        parameters=state.parameters,
        presets=tuple(state.presets),
        used_wildcards=tuple(state.used_wildcards),
        warnings=state.warnings.all(),
        draw_count=state.draws.count,
        variables={name: without_marks(text) for name, text in state.variables.items()},
        missing=(*state.missing.values(),),
    )


def _evaluate(state: State, text: str) -> str:
    field = state.budget.field
    state.budget.check_length(text, "as written")
    if "\0" in text:
        raise InvalidRequest(f"{field}: holds a NUL character at position {text.index(chr(0))}", field=field)
    state.section = MAIN
    return Evaluation(state).evaluate(parse(text, braces=state.braces))


def _write_around(text: str, around: Around) -> str:
    # What a preset writes after a prompt belongs to the picture, whatever section the prompt ends in.
    made = ["".join([*around.before, text, mark_section(MAIN), *around.after])]
    for more in filter(has_words, around.behind):
        so_far = resolve_marks(made[-1], "x")[MAIN]
        made += [" " if so_far.endswith(",") else ", ", more] if so_far else [more]
    return "".join(made)


def _trigger_words(state: State) -> str:
    """What ``<trigger>`` stands for: the words of the model and of all LoRAs, those of the prompts included."""
    phrases = [*state.world.triggers(), *state.triggers]
    words = [word.strip() for phrase in phrases for word in phrase.replace("\0", "").replace(";", ",").split(",")]
    return ", ".join(dict.fromkeys(word for word in words if word))
