"""Which models leave before another one is loaded: by number, and by memory."""

from __future__ import annotations

from typing import Literal

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.engine.protocol import Loaded
from sdcpp_rest.services.dispatch.holding import HeldModel, Holding
from sdcpp_rest.services.dispatch.model_keeping import ModelKeeping

GIB = 1 << 30


def spec_of(name: str, **options: object) -> LoadSpec:
    return LoadSpec(model=FileRef(name=name, path=f"/{name}"), kind="diffusion", options=options)


def held(name: str, gib: int = 4) -> HeldModel:
    spec = spec_of(name)
    return HeldModel(spec, Loaded(key=spec.key), needed_bytes=gib * GIB)


def leaving(
    limit: int | Literal["auto"],
    models: list[HeldModel],
    wanted: str = "new",
    *,
    need: int = 6,
    memory: tuple[int, int] | None = (1, 16),
) -> list[str]:
    """Names of those that leave; sizes in GiB. ``memory``: free, and all."""
    known = memory and (memory[0] * GIB, memory[1] * GIB)
    keeping = ModelKeeping(limit, lambda spec: (need * GIB, need * GIB), lambda: known)
    keys = keeping.choose_leaving(models, spec_of(wanted))
    return [model.spec.model.name for key in keys for model in models if model.spec.key == key]


@pytest.mark.parametrize(("limit", "names"), [(1, ["a", "b", "c"]), (2, ["a", "b"]), (3, ["a"]), (4, []), (9, [])])
def test_a_number_is_how_many_stay(limit: int, names: list[str]) -> None:
    assert leaving(limit, [held("a"), held("b"), held("c")]) == names


@pytest.mark.parametrize(
    ("free", "names"),
    # Six are needed, and a tenth of sixteen stays free: 7.6.
    [(8, []), (7, ["a"]), (4, ["a"]), (3, ["a", "b"]), (0, ["a", "b"])],
)
def test_by_memory_the_least_recently_used_leave_until_it_fits(free: int, names: list[str]) -> None:
    assert leaving("auto", [held("a"), held("b")], memory=(free, 16)) == names


def test_what_cannot_be_estimated_is_loaded_alone() -> None:
    models = [held("a"), held("b")]
    assert leaving("auto", models, memory=None) == ["a", "b"]
    assert leaving("auto", models, need=0, memory=(16, 16)) == ["a", "b"]
    assert leaving("auto", [held("a", 0), held("b")], memory=(16, 16)) == ["a", "b"]


def test_the_same_file_with_other_options_takes_the_place_of_what_is_there() -> None:
    other = spec_of("a", n_threads=3)
    model = HeldModel(other, Loaded(key=other.key), needed_bytes=4 * GIB)
    assert leaving(4, [model, held("b")], "a") == ["a"]
    assert leaving("auto", [model, held("b")], "a", memory=(4, 16)) == ["a"], "what it holds comes back"


def test_what_a_model_holds_is_measured_where_that_is_more() -> None:
    keeping = ModelKeeping("auto", lambda spec: (3 * GIB, 9 * GIB), lambda: None)
    spec = spec_of("a")
    assert keeping.held_bytes(spec, Loaded(key=spec.key, held_bytes=5 * GIB)) == 5 * GIB
    assert keeping.held_bytes(spec, Loaded(key=spec.key, held_bytes=1)) == 3 * GIB


def test_a_model_with_the_encoder_serves_those_without() -> None:
    holding = Holding()
    without = spec_of("a", vae_decode_only=True)
    whole = without.with_encoder
    holding.put(HeldModel(whole, Loaded(key=whole.key)))
    assert set(holding.list_served()) == {whole.key, without.key}
    assert whole.without_encoder == without
