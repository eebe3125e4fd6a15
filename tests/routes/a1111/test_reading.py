from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.routes.a1111.errors import Unreadable
from sdcpp_rest.routes.a1111.reading import reread
from sdcpp_rest.routes.a1111.wire import A1111Img2Img, A1111Request, A1111Txt2Img
from tests.cases import for_each_case


def read(**fields: Any) -> A1111Txt2Img:
    return reread(A1111Txt2Img, fields)


@for_each_case(
    ("field", "given", "expected"),
    [
        ("steps", "20", 20), ("steps", 20.0, 20), ("steps", "20.0", 20), ("steps", 20.9, 20), ("steps", " 7 ", 7),
        ("hr_second_pass_steps", 2.0, 2), ("cfg_scale", "7.0", 7.0), ("cfg_scale", 7, 7.0), ("seed", "", -1),
        ("seed", "42", 42), ("seed", -1.0, -1), ("seed", 4294967295, 4294967295), ("enable_hr", "true", True),
        ("enable_hr", 0, False), ("prompt", 5, "5"), ("width", "64", 64), ("styles", ["a", None, 3], ["a", "3"]),
    ],
)  # fmt: skip
def test_values_come_in_many_forms(field: str, given: Any, expected: Any) -> None:
    found = getattr(read(**{field: given}), field)
    assert found == expected
    assert type(found) is type(expected)


def test_a_mask_may_be_inverted_by_a_word_or_a_number() -> None:
    for given in (True, 1, "1", 1.0):
        assert reread(A1111Img2Img, {"inpainting_mask_invert": given}).inpainting_mask_invert == 1


@for_each_case(
    ("field", "given"),
    [
        ("steps", "many"), ("steps", []), ("steps", {}), ("steps", 0), ("steps", 10**30), ("steps", "9" * 60),
        ("steps", "1e400"), ("cfg_scale", "x"), ("cfg_scale", []), ("prompt", []), ("prompt", True), ("prompt", {}),
        ("styles", "x"), ("override_settings", []), ("enable_hr", "perhaps"), ("n_iter", 0), ("n_iter", 100_000),
        ("batch_size", -1), ("alwayson_scripts", 3), ("seed", "abc"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_read_are_told_by_their_field(field: str, given: Any) -> None:
    with pytest.raises(Unreadable) as caught:
        read(**{field: given})
    (complaint,) = caught.value.complaints
    assert complaint["loc"][:2] == ["body", field]
    assert complaint["msg"]
    assert complaint["type"]


def test_every_field_at_fault_is_told() -> None:
    with pytest.raises(Unreadable) as caught:
        read(steps="x", width=[], prompt={})
    assert [one["loc"][1] for one in caught.value.complaints] == ["prompt", "steps", "width"]


def test_fields_that_nobody_knows_are_left_alone() -> None:
    body = read(prompt="x", url="http://x", auth="user:password", model="gpt", prompt_prefix="y")
    assert "password" not in str(body.model_dump())


def test_the_defaults_are_that_programs() -> None:
    body = read()
    assert (body.steps, body.cfg_scale, body.width, body.height) == (50, 7.0, 512, 512)
    assert (body.sampler_name, body.sampler_index, body.seed) == (None, "Euler", -1)
    assert (body.batch_size, body.n_iter, body.send_images, body.save_images) == (1, 1, True, False)
    picture = reread(A1111Img2Img, {})
    assert (picture.denoising_strength, picture.mask_blur_x, picture.inpaint_full_res) == (0.75, 4, True)
    assert picture.init_images is None


def test_what_was_sent_is_told_from_what_was_not() -> None:
    body: A1111Request = read(steps=50)
    assert body.model_fields_set == {"steps"}
