from __future__ import annotations

from sdcpp_rest.routes.openai.reading import from_form, from_json
from sdcpp_rest.routes.openai.wire import EditWishes


def test_a_forms_texts_get_their_types() -> None:
    texts = {
        "n": "2",
        "cfg_scale": "2.5",
        "stream": "True",
        "loras": '["x"]',
        "prompt": "5",
        "size": "",
        "seed": "many",
    }
    assert from_form(EditWishes, texts) == {
        "n": 2, "cfg_scale": 2.5, "stream": True, "loras": ["x"], "prompt": "5", "seed": "many",
    }  # fmt: skip


def test_pictures_in_json_are_found_under_every_name() -> None:
    body = {"image": "a", "image[]": ["b"], "images": [{"image_url": "c"}], "mask": {"image_url": "d"}, "n": 1}
    assert from_json(body) == {"image": ["a", "b", "c"], "mask": "d", "n": 1}
