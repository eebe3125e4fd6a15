"""Defines what each tag does. A tag that cannot do it returns ``None``: it stays in the text as it was written.

Three kinds: those that need no text of their own, those that need it evaluated, and those that evaluate parts of it,
once or often. It must not know how evaluation nests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TypeVar

from sdcpp_rest.core.prompt_language import section_tags
from sdcpp_rest.core.prompt_language.draws import read_range
from sdcpp_rest.core.prompt_language.marks import GONE, MAIN, REFINER, TRIGGER, join_texts, without_marks
from sdcpp_rest.core.prompt_language.state import Around, PromptLora, State, quote
from sdcpp_rest.core.prompt_language.surroundings import NEGATIVE_ID, PROMPT_ID, parameter_id
from sdcpp_rest.core.prompt_language.syntax import Choice, Node, Tag, plain_text, split, split_options

Parts = Generator[Sequence[Node], str, str | None]
T = TypeVar("T")

VALUE = "{value}"
"""In a preset: what the user wrote."""
# What a look-up costs, in characters: thousands of names are compared with the one that is written.
_LOOK_UP = 500
# Moving the rest of a list up when an entry is taken out of it is cheap, and not free.
_ENTRIES_OF_A_CHARACTER = 256


# --- random words -----------------------------------------------------------------------------------------------------


def _take(state: State, options: Sequence[T], count: int) -> Iterator[T]:
    """``count`` of ``options``, none twice before all were taken once."""
    pool: list[T] = []
    for _ in range(count):
        state.budget.spend_tag()
        if count == 1:
            yield options[state.draws.index(len(options))]
            return
        if not pool:
            pool = list(options)
            state.budget.spend_characters(len(pool))
        state.budget.spend_characters(len(pool) // _ENTRIES_OF_A_CHARACTER)
        yield pool.pop(state.draws.index(len(pool)))


def _read_amount(state: State, tag: Tag) -> tuple[int, str] | None:
    """How many a tag asks for, and what comes between them."""
    predata = tag.predata
    if predata is None or not predata.strip():
        return 1, " "
    joiner = ", " if predata.rstrip().endswith(",") else " "
    count = state.draws.amount(predata.rstrip().removesuffix(","))
    if count is None:
        state.warn(f"{quote(f'<{tag.head}')} says {quote(predata)} where it should say how many; it stays as it is.")
        return None
    return count, joiner


def _draw(state: State, options: Sequence[list[Node]], count: int, joiner: str) -> Generator[Sequence[Node], str, str]:
    made = []
    for option in _take(state, options, count):
        text = plain_text(option)
        numbers = read_range(text) if text is not None else None
        made.append((yield option).strip() if numbers is None else state.draws.number(numbers))
    return join_texts(made, joiner)


def _random(state: State, tag: Tag) -> Parts:
    amount = _read_amount(state, tag)
    if amount is None:
        return None
    return (yield from _draw(state, split_options(tag.body), *amount))


def choose(state: State, choice: Choice) -> Generator[Sequence[Node], str, str]:
    """The text of ``{a|b}``: one of its entries, or as many different ones as it asks for."""
    if choice.is_plain:
        inner = yield choice.options[0]
        return f"{{{inner}}}"
    count = state.draws.amount(choice.count) if choice.count else 1
    return (yield from _draw(state, choice.options, min(count or 0, len(choice.options)), choice.joiner))


def _wildcard(state: State, tag: Tag) -> Parts:
    asked, _, rest = without_marks((yield tag.body)).partition(",")
    amount = _read_amount(state, tag)
    if amount is None:
        return None
    state.budget.spend_characters(_LOOK_UP)
    found = state.world.wildcard(asked.strip())
    if found is None:
        state.miss("wildcard", asked.strip(), f"; {quote(tag.raw)} stays as it is.")
        return None
    state.used_wildcards.append(found.name)
    options = found.options
    named, _, unwanted = rest.strip().partition("=")
    if named.strip().lower() == "not":
        state.budget.spend_characters(len(options))
        excluded = {(plain_text(entry) or "").strip() for entry in split_options([unwanted])}
        options = [option for option in options if option not in excluded]
    count, joiner = amount
    made = []
    for option in _take(state, options, count if options else 0):
        made.append((yield state.parse(option)).strip())
    return join_texts(made, joiner)


# --- repetition, variables, macros ------------------------------------------------------------------------------------


def _repeat(state: State, tag: Tag) -> Parts:
    asked, body = tag.predata or "", [*tag.body]
    if not asked.strip():
        first, *rest = split(tag.body, ",", 1)
        asked, body = without_marks((yield first)), rest[0] if rest else []
    count = state.draws.amount(asked)
    if count is None:
        state.warn(f"{quote(tag.raw)} says {quote(asked)} where it should say how often; it stays as it is.")
        return None
    made = []
    for _ in range(count):
        state.budget.spend_tag()
        made.append((yield body).strip())
    return join_texts(made, " ")


def _name_and_emit(state: State, tag: Tag) -> tuple[str, bool] | None:
    """The name in ``[name,false]``, and whether the value is also written where it is set."""
    name, _, emit = (tag.predata or "").partition(",")
    if not name.strip():
        state.warn(f"{quote(tag.raw)} gives no name in brackets, as <{tag.name}[name]:...> does; it stays as it is.")
        return None
    return name.strip(), emit.strip().lower() != "false"


def _setvar(state: State, tag: Tag) -> Parts:
    named = _name_and_emit(state, tag)
    if named is None:
        return None
    value = yield tag.body
    state.variables[named[0]] = value
    return value if named[1] else GONE


def _setmacro(state: State, tag: Tag) -> Parts:
    named = _name_and_emit(state, tag)
    if named is None:
        return None
    state.macros[named[0]] = tag.body
    return (yield tag.body) if named[1] else GONE


def _var(state: State, tag: Tag, body: str) -> str:
    name = body.strip() or (tag.predata or "").strip()
    if name not in state.variables:
        state.miss("variable", name, " (yet); its tag was left out.")
        return GONE
    return state.variables[name]


def _macro(state: State, tag: Tag) -> Parts:
    name = without_marks((yield tag.body)).strip() or (tag.predata or "").strip()
    if name not in state.macros:
        state.miss("macro", name, " (yet); its tag was left out.")
        return GONE
    return (yield state.macros[name])


# --- models, parameters, presets --------------------------------------------------------------------------------------


def _is_elsewhere(state: State, tag: Tag) -> bool:
    """Whether a tag stands in a section that is not drawn, and must not reach what is."""
    if state.section == REFINER:
        state.warn(f"<{tag.name}> in the section <refiner> has no effect: both passes share models and parameters.")
    return state.section != MAIN


def _lora(state: State, tag: Tag, body: str) -> str | None:
    name, *weights = body.split(":")
    if _is_elsewhere(state, tag):
        return GONE
    numbers = [_read_weight(weight) for weight in weights]
    if None in numbers or len(numbers) > 2:
        state.warn(f"{quote(tag.raw)} has no weight such as 0.8, or 0.8:0.5; it stays as it is.")
        return None
    state.budget.spend_characters(_LOOK_UP)
    found = state.world.lora(name.strip())
    if found is None:
        state.miss("LoRA", name.strip(), f"; {quote(tag.raw)} stays as it is.")
        return None
    weight, of_text_encoder = [*numbers, None, None][:2]
    state.loras.append(PromptLora(found.name, 1.0 if weight is None else weight, of_text_encoder))
    state.triggers.append(found.trigger)
    return GONE


def _read_weight(text: str) -> float | None:
    try:
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _embedding(state: State, tag: Tag, body: str) -> str:
    state.budget.spend_characters(_LOOK_UP)
    words = state.world.embedding(body.strip())
    if words is None:
        state.miss("embedding", body.strip(), "; its tag was left out.")
        return GONE
    return words.replace("\0", "")


def _param(state: State, tag: Tag, body: str) -> str | None:
    asked = body if tag.predata is None else tag.predata
    id, value = parameter_id(asked), body.strip()
    known = state.parameters.get(id)
    if known is None and (not id or (known := state.world.parameter(id)) is None):
        state.miss("parameter", asked.strip(), f"; {quote(tag.raw)} stays as it is.")
        return None
    if tag.predata is None:
        return known.replace("\0", "")
    if id in (PROMPT_ID, NEGATIVE_ID):
        state.warn(f"a prompt cannot be set from within; {quote(tag.raw)} stays as it is.")
        return None
    if not _is_elsewhere(state, tag):
        state.parameters[id] = value
    return GONE


def _preset(state: State, tag: Tag) -> Parts:
    title = without_marks((yield tag.body)).strip()
    if _is_elsewhere(state, tag):
        return GONE
    state.budget.spend_characters(_LOOK_UP)
    preset = state.world.preset(title)
    if preset is None:
        state.miss("preset", title, f"; {quote(tag.raw)} stays as it is.")
        return None
    if title in state.open_presets:
        state.warn(f"the preset {quote(title)} names itself; that tag was left out.")
        return GONE
    state.presets.append(title)
    state.open_presets.add(title)
    for id, text in preset.items():
        if id not in (PROMPT_ID, NEGATIVE_ID):
            state.parameters[id] = text
            continue
        before, value, after = text.partition(VALUE)
        around = state.around.setdefault(id, Around())
        if value:
            around.before.append((yield state.parse(before)))
            around.after.append((yield state.parse(after)))
        else:
            around.behind.append((yield state.parse(text)))
    state.open_presets.discard(title)
    return GONE


def _trigger(state: State, tag: Tag) -> str:
    return TRIGGER


FROM_NOTHING: dict[str, Callable[[State, Tag], str | None]] = {
    "comment": lambda state, tag: GONE,
    "trigger": _trigger,
    "break": section_tags.leave_out_break,
    **dict.fromkeys(section_tags.SECTIONS, section_tags.begin_section),
}
FROM_TEXT: dict[str, Callable[[State, Tag, str], str | None]] = {
    "var": _var,
    "lora": _lora,
    "embed": _embedding,
    "embedding": _embedding,
    "param": _param,
}
FROM_PARTS: dict[str, Callable[[State, Tag], Parts]] = {
    "random": _random,
    "wildcard": _wildcard,
    "wc": _wildcard,
    "repeat": _repeat,
    "setvar": _setvar,
    "setmacro": _setmacro,
    "macro": _macro,
    "preset": _preset,
    "p": _preset,
    "alternate": section_tags.keep_first,
    "alt": section_tags.keep_first,
    "fromto": section_tags.keep_first,
}
