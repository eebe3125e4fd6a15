"""Pictures and videos are completed and checked the same way, as far as they are the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sdcpp_rest.core.params import ImageParams, SamplingParams, VideoParams
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.submission.sampling_intake import SamplingIntake
from tests.cases import for_each_case
from tests.services.conftest import House, config_below, spec_named

KINDS = [(ImageParams, "txt2img"), (ImageParams, "img2img"), (VideoParams, "txt2vid")]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(config_below(tmp_path_factory.mktemp("house")), "inline")
    yield made
    made.stop()


def taken(
    house: House, kind: type[SamplingParams], mode: Any, architecture: str | None = None, **asked: Any
) -> tuple[SamplingParams, list[str]]:
    spec = spec_named("x.gguf").model_copy(update={"architecture": architecture})
    intake: SamplingIntake = house.runtime.submission.intake
    return intake.params(kind, mode, {"prompt": "a cat", **asked}, spec)


@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_request_is_completed(house: House, kind: type[SamplingParams], mode: Any) -> None:
    params, warnings = taken(house, kind, mode, prompt="a cat <lora:demo_lora:0.5>", steps=3)
    assert type(params) is kind
    assert (params.steps, params.sampler) == (3, kind.model_fields["sampler"].default)
    assert [lora.weight for lora in params.loras] == [0.5]
    assert params.seed >= 0
    assert warnings == []
    assert taken(house, kind, mode)[0].seed != params.seed


@for_each_case(("kind", "mode"), KINDS)
@for_each_case(
    ("asked", "field"),
    [
        ({"steps": 0}, "steps"),
        ({"width": 1}, "width"),
        ({"flow_shift": -1.0}, "flow_shift"),
        ({"sampler": "magic"}, "sampler"),
        ({"scheduler": "gits", "steps": 1}, "steps"),
        ({"prompt": "(a:.)"}, "prompt"),
        ({"negative_prompt": "x" * 20_000}, "negative_prompt"),
        ({"prompt": "<lora:nobody:1>"}, "prompt"),
        ({"seed": -5}, "seed"),
        ({"custom_sigmas": [1.0]}, "custom_sigmas"),
        ({"skip_layers": [5_000]}, "skip_layers"),
        ({"cache_options": {"spectrum_m": 0}}, "cache_options.spectrum_m"),
        ({"cache_mode": "magic"}, "cache_mode"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_both_are_refused_by_the_same_sentences(
    house: House, kind: type[SamplingParams], mode: Any, asked: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        taken(house, kind, mode, **asked)
    assert caught.value.detail["field"] == field
    assert field in caught.value.message


@for_each_case("field", ["loras", "hires_model", "pm_id_embed", "upscaler"])
def test_files_are_never_taken_from_a_client(house: House, field: str) -> None:
    file = {"name": "x", "path": "/etc/passwd", "weight": 1.0}
    params, _ = taken(house, ImageParams, "txt2img", **{field: [file] if field == "loras" else file})
    assert getattr(params, field) == ImageParams.model_fields[field].default


@pytest.mark.parametrize(
    ("architecture", "asked", "words"),
    [
        ("Flux", {"scheduler": "ays"}, "The scheduler 'ays' was made for Stable Diffusion 1 and XL"),
        (None, {"scheduler": "karras", "steps": 1}, "needs at least 2 steps; with 1 the picture is flat"),
    ],
)
def test_what_will_not_look_right_is_told(
    house: House, architecture: str | None, asked: dict[str, Any], words: str
) -> None:
    _, (warning,) = taken(house, ImageParams, "txt2img", architecture, **asked)
    assert words in warning
    assert taken(house, ImageParams, "txt2img", architecture, **{**asked, "scheduler": "discrete"})[1] == []
