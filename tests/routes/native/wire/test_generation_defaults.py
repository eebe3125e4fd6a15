from __future__ import annotations

import pytest

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.wire_models import examine
from sdcpp_rest.routes.native.wire.generation_defaults import (
    DEFAULTS_MODELS,
    MODE_BODIES,
    all_defaults_model,
    check_names,
)
from sdcpp_rest.services.settings.user_settings import MODES

OPTIONS = {"samplers": ["euler", "lcm"], "schedulers": ["karras"]}


def test_there_are_defaults_for_every_mode() -> None:
    assert tuple(DEFAULTS_MODELS) == tuple(MODE_BODIES) == MODES
    assert tuple(all_defaults_model().model_fields) == MODES


def test_everything_but_pictures_and_words_of_one_request_can_be_a_default() -> None:
    for mode, model in DEFAULTS_MODELS.items():
        left = set(MODE_BODIES[mode].model_fields) - set(model.model_fields)
        assert {"prompt", "title"} <= left
        unexpected = {name for name in left if not name.endswith(("_base64", "_images", "_frames", "_path"))}
        assert unexpected == {"prompt", "expand_prompt", "styles", "title", "model_name", "group", "device"}
        assert {"steps", "width", "height", "cfg_scale", "sampler", "negative_prompt"} <= set(model.model_fields)


def test_what_was_not_sent_is_not_a_default() -> None:
    body, warnings = examine(DEFAULTS_MODELS["txt2img"], {"steps": 3, "width": None})
    assert (body.sent_fields(), warnings) == ({"steps": 3}, [])


def test_only_names_that_there_are_can_be_defaults() -> None:
    check_names({"sampler": "lcm", "scheduler": "", "high_noise_sampler": "euler", "steps": 3}, OPTIONS)
    with pytest.raises(
        InvalidRequest, match=r'txt2vid\.high_noise_sampler must be one of euler, lcm, got "x"'
    ) as caught:
        check_names({"high_noise_sampler": "x"}, OPTIONS, "txt2vid.")
    assert caught.value.detail["field"] == "txt2vid.high_noise_sampler"
    check_names({"sampler": "anything"}, {})  # an engine that has told nothing yet forbids nothing
