from __future__ import annotations

from sdcpp_rest.core.sampling import SAMPLERS, SCHEDULERS
from sdcpp_rest.routes.a1111 import names
from sdcpp_rest.routes.a1111.names import Sampling, sampling
from tests.cases import for_each_case


def meant(name: str, scheduler: str = "") -> Sampling:
    return sampling(name, scheduler, SAMPLERS, SCHEDULERS)


@for_each_case(
    ("name", "scheduler", "expected"),
    [
        ("Euler a", "", ("euler_a", None)),
        ("k_euler_a", "", ("euler_a", None)),
        ("euler", "", ("euler", None)),
        ("DPM++ 2M Karras", "", ("dpm++2m", "karras")),
        ("DPM++ 2M", "Karras", ("dpm++2m", "karras")),
        ("DPM++ 2M Karras", "Automatic", ("dpm++2m", "karras")),
        ("DPM++ 2M Karras", "Exponential", ("dpm++2m", "exponential")),
        ("Euler", "automatic", ("euler", None)),
        ("Euler", "Uniform", ("euler", "discrete")),
        ("Euler", "SGM Uniform", ("euler", "sgm_uniform")),
        ("LCM", "sgm_uniform", ("lcm", "sgm_uniform")),
        ("DDIM", "", ("ddim_trailing", None)),
        ("dpmpp_2m", "align_your_steps", ("dpm++2m", "ays")),
    ],
)
def test_names_that_have_an_equal_here(name: str, scheduler: str, expected: tuple[str, str | None]) -> None:
    found = meant(name, scheduler)
    assert (found.sampler, found.scheduler) == expected
    assert found.unlike == ()


@for_each_case("name", ["PLMS", "UniPC", "DPM++ SDE", "DPM++ 2M SDE", "DPM2 a", "DPM fast", "LMS", "Restart"])
def test_samplers_without_an_equal_get_a_relative_that_is_told(name: str) -> None:
    found = meant(name)
    assert found.sampler in SAMPLERS
    assert found.unlike == (name,)


def test_a_name_that_nobody_knows_is_the_first_sampler_of_those_programs() -> None:
    assert meant("Nonsense 3000") == Sampling(sampler="dpm++2m", unlike=("Nonsense 3000",))


def test_what_the_engine_lacks_is_never_chosen() -> None:
    found = sampling("DPM++ 2S a", "Karras", ("euler",), ("discrete",))
    assert (found.sampler, found.scheduler) == ("euler", "discrete")
    assert set(found.unlike) == {"DPM++ 2S a", "Karras"}


def test_unknown_schedule_is_told_and_the_default_is_taken() -> None:
    found = meant("Euler", "Beta")
    assert found.scheduler == "discrete"
    assert found.unlike == ("Beta",)


def test_every_label_leads_back_to_its_name() -> None:
    for name in SAMPLERS:
        assert meant(names.sampler_label(name)).sampler == name
    for name in SCHEDULERS:
        if name != "discrete":
            assert meant("Euler", names.scheduler_label(name)) == Sampling(sampler="euler", scheduler=name)
            assert meant("Euler", name).scheduler == name
