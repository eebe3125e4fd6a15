from __future__ import annotations

from sdcpp_rest.core.infotext import SAMPLER_LABELS, SCHEDULER_LABELS
from sdcpp_rest.core.sampling import SAMPLERS, SCHEDULERS
from sdcpp_rest.core.sampling_names import NamedSampling, find_sampling, find_scheduler, is_near_scheduler
from tests.cases import for_each_case


@for_each_case("name", SAMPLERS)
def test_the_librarys_own_names_and_labels_mean_themselves(name: str) -> None:
    assert find_sampling(name) == NamedSampling(name)
    assert find_sampling(SAMPLER_LABELS.get(name, name).upper()) == NamedSampling(name)


@for_each_case("name", SCHEDULERS)
def test_the_librarys_own_schedulers_mean_themselves(name: str) -> None:
    assert find_scheduler(name) == name
    assert find_scheduler(SCHEDULER_LABELS.get(name, name)) == name


@for_each_case(
    ("name", "expected"),
    [
        ("Euler a", ("euler_a", None, True)),
        ("DPM++ 2M Karras", ("dpm++2m", "karras", True)),
        ("DPM++ 2M SGM Uniform", ("dpm++2m", "sgm_uniform", True)),
        ("DPM++ 2S a Karras", ("dpm++2s_a", "karras", True)),
        ("DPM++ SDE Karras", ("dpm++2s_a", "karras", False)),
        ("DPM++ 2M SDE Exponential", ("dpm++2m", "exponential", False)),
        ("DDIM", ("ddim_trailing", None, True)),
        ("LMS", ("ipndm", None, False)),
        ("UniPC", ("dpm++2m", None, False)),
        ("k_euler_a", ("euler_a", None, True)),
        ("dpmpp_2m", ("dpm++2m", None, True)),
        ("dpmpp_2m_sde_gpu", ("dpm++2m", None, False)),
        ("euler_ancestral", ("euler_a", None, True)),
        ("euler_cfg_pp", ("euler", None, True)),
        ("dpm_2", ("dpm2", None, True)),
    ],
)
def test_names_of_other_programs_are_understood(name: str, expected: tuple[str, str | None, bool]) -> None:
    assert find_sampling(name) == expected


@for_each_case("name", ["", " ", "magic", "Karras", "magic Karras", "x" * 10_000, "x " * 10_000])
def test_what_is_no_sampler_means_nothing(name: str) -> None:
    assert find_sampling(name) is None


@for_each_case(
    ("name", "expected"),
    [("Automatic", "discrete"), ("normal", "discrete"), ("Align Your Steps", "ays"), ("KL Optimal", "kl_optimal"),
     ("Align Your Steps GITS", "gits"), ("SGM Uniform", "sgm_uniform"), ("magic", None)],
)  # fmt: skip
def test_schedulers_of_other_programs_are_understood(name: str, expected: str | None) -> None:
    assert find_scheduler(name) == expected


def test_schedulers_that_only_have_a_relative_here_are_told_apart() -> None:
    assert [name for name in ("Beta", "DDIM Uniform", "karras", "normal", "Automatic") if is_near_scheduler(name)] == [
        "Beta",
        "DDIM Uniform",
    ]
