from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.routes.a1111.settings import DEFAULTS, EFFECTIVE, EFFECTIVE_INTERROGATING, check_option
from tests.cases import for_each_case


def test_options_that_clients_look_for_are_there() -> None:
    wanted = {
        "sd_model_checkpoint", "sd_checkpoint_hash", "sd_vae", "samples_format", "CLIP_stop_at_last_layers",
        "send_seed", "show_progress_every_n_steps", "live_previews_enable", "enable_pnginfo", "jpeg_quality",
    }  # fmt: skip
    assert wanted <= DEFAULTS.keys()
    assert DEFAULTS.keys() >= EFFECTIVE | EFFECTIVE_INTERROGATING
    assert not EFFECTIVE & EFFECTIVE_INTERROGATING
    assert (DEFAULTS["show_progress_every_n_steps"], DEFAULTS["jpeg_quality"]) == (10, 80)
    assert "forge_preset" not in DEFAULTS, "clients take a server with it for another program"


@for_each_case("name", DEFAULTS)
def test_every_default_is_a_value_that_is_taken(name: str) -> None:
    assert check_option(name, DEFAULTS[name]) == DEFAULTS[name]


@for_each_case(
    ("name", "given", "kept"),
    [
        ("jpeg_quality", "75", 75),
        ("jpeg_quality", 75.0, 75),
        ("enable_pnginfo", "false", False),
        ("enable_pnginfo", 1, True),
        ("samples_format", "JPG", "jpg"),
        ("initial_noise_multiplier", 1, 1.0),
    ],
)
def test_values_become_the_type_of_their_option(name: str, given: Any, kept: Any) -> None:
    found = check_option(name, given)
    assert found == kept
    assert type(found) is type(kept)


@for_each_case(
    ("name", "given"),
    [
        ("jpeg_quality", 0), ("jpeg_quality", "x"), ("jpeg_quality", True), ("jpeg_quality", []),
        ("samples_format", "gif"), ("samples_format", 3), ("enable_pnginfo", "maybe"), ("quicksettings_list", "x"),
        ("CLIP_stop_at_last_layers", 13), ("jpeg_quality", "1e999"),
    ],
)  # fmt: skip
def test_values_that_are_not_taken(name: str, given: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        check_option(name, given)
