"""What a cancelled run leaves on a GPU is freed before a job that would not fit beside it, and before no other one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine.fake_runner import FakeRunner
from sdcpp_rest.engine.protocol import Device, Loaded, Ready
from sdcpp_rest.services.dispatch.holding import HeldModel, Holding
from sdcpp_rest.services.dispatch.leftovers import Leftovers
from tests.cases import for_each_case
from tests.services.conftest import PATIENCE_SECONDS, House, spec_named

GIB = 1 << 30


def offloaded(spec: LoadSpec) -> LoadSpec:
    return spec.model_copy(update={"options": spec.options.model_copy(update={"offload_to_cpu": True})})


@for_each_case(
    ("needed", "free", "is_cancelled", "is_offloaded", "leaves"),
    [
        (3, 2, True, True, True),
        (2, 2, True, True, False),
        (3, 2, False, True, False),
        (3, 2, True, False, False),
        (None, 2, True, True, False),
        (3, None, True, True, False),
    ],
)
def test_a_model_leaves_only_for_a_job_that_would_not_fit(
    needed: int | None, free: int | None, is_cancelled: bool, is_offloaded: bool, leaves: bool
) -> None:
    holding, spec = Holding(), spec_named("a.gguf")
    spec = offloaded(spec) if is_offloaded else spec
    holding.put(HeldModel(spec, Loaded(key=spec.key)))
    leftovers = Leftovers(holding, lambda job: needed, lambda: free)
    leftovers.note_run(was_cancelled=is_cancelled)
    job: Any = type("Job", (), {"id": "x"})
    assert leftovers.find_in_the_way(job) == ((spec.key,) if leaves else ())
    leftovers.note_run(was_cancelled=False)
    assert leftovers.find_in_the_way(job) == (), "the next run has tidied up"


def test_nothing_is_asked_where_nothing_was_cancelled() -> None:
    def ask(*_: object) -> int:
        raise AssertionError("a device was asked")

    holding, spec = Holding(), offloaded(spec_named("a.gguf"))
    holding.put(HeldModel(spec, Loaded(key=spec.key)))
    job: Any = type("Job", (), {"id": "x"})
    assert Leftovers(holding, ask, ask).find_in_the_way(job) == ()


class Card(FakeRunner):
    """An engine on a card whose free memory the test decides."""

    free = 8 * GIB

    def devices(self) -> tuple[Device, ...]:
        card = Device(
            name="CUDA0", description="a card", backend="CUDA", free_bytes=self.free, total_bytes=8 * GIB, is_gpu=True
        )
        return (card,)

    def ready(self) -> Ready:
        return super().ready().model_copy(update={"backend": "CUDA", "backends": ("CUDA", "CPU")})


@pytest.mark.parametrize(("free", "loads"), [(8 * GIB, 2), (GIB // 64, 3)], ids=["it fits", "it does not"])
def test_the_next_job_loads_anew_where_it_would_not_fit(
    make_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch, free: int, loads: int
) -> None:
    house = make_house(make_runner=Card).start()
    demo = house.runtime.models.slot.selected
    assert demo is not None
    spec = offloaded(demo)
    house.runtime.models.slot.select(spec).result(PATIENCE_SECONDS)
    cancelled = house.running(spec=spec)
    house.runtime.jobs.queue.cancel(cancelled)
    assert house.finished(cancelled).status == "cancelled"
    monkeypatch.setattr(Card, "free", free)
    for _ in range(2):  # the first one has tidied up, however little is free
        assert house.draw(spec=spec, width=64, height=64).status == "completed"
        assert house.runtime.engine.home.residency.loads == loads
